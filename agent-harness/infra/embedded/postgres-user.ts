import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { HarnessError } from "../../shared/errors.ts";
import { isRoot } from "../../shared/paths.ts";

const run = promisify(execFile);

export interface UnixUser {
  name: string;
  uid: number;
  gid: number;
}

/** Ours first; `postgres` is there where the system has a Postgres of its own. */
const candidates = ["agent-harness", "postgres"];

/** The user that Postgres runs as when we are root (it refuses root), made when there is none; undefined when we are not root. */
export async function ensurePostgresUser(): Promise<UnixUser | undefined> {
  if (!isRoot()) return undefined;
  for (const name of candidates) {
    const user = await findUser(name);
    if (user !== undefined) return user;
  }
  const [name = ""] = candidates;
  try {
    await run("useradd", ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]);
  } catch (cause) {
    throw new HarnessError(
      "PROGRAM_MISSING",
      `Postgres does not run as root, and the user ${name} could not be made.`,
      {
        hint: `Make a system user named ${name}, or run agent-harness as an ordinary user.`,
        cause,
      },
    );
  }
  const made = await findUser(name);
  if (made === undefined) throw new HarnessError("INTERNAL", `The user ${name} was made but cannot be found.`);
  return made;
}

/** Says so when a folder on the way to the data keeps the user of Postgres out (a home below /root, say). */
export async function requirePassage(folder: string, user: UnixUser | undefined): Promise<void> {
  if (user === undefined) return;
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    const info = await stat(path);
    if ((info.mode & 0o001) !== 0 || info.uid === user.uid) continue;
    throw new HarnessError("HOME_UNUSABLE", `The user ${user.name}, which runs Postgres, cannot enter ${path}.`, {
      hint: `Choose another place with AGENT_HARNESS_HOME, or open it: chmod o+x ${path}`,
    });
  }
}

async function findUser(name: string): Promise<UnixUser | undefined> {
  try {
    const [uid, gid] = await Promise.all(["-u", "-g"].map((what) => run("id", [what, name])));
    return { name, uid: Number(uid?.stdout), gid: Number(gid?.stdout) };
  } catch {
    // `id` exits with 1 for a user that is not there.
    return undefined;
  }
}
