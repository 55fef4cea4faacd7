import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { HarnessError } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { withLock } from "../shared/lock.ts";
import { ensureHome, type HomePaths } from "../shared/paths.ts";

const schema = z.object({
  /** Tells this harness's things from another's on a server that both use; part of every stamp. */
  machine: z.string().min(1),
  postgres: z.object({ user: z.string().min(1), password: z.string().min(1) }),
  s3: z.object({ accessKey: z.string().min(1), secretKey: z.string().min(1) }),
});

export type Credentials = z.output<typeof schema>;

/** The machine's generated credentials; made once, kept 0600, the same for every driver. */
export async function ensureCredentials(paths: HomePaths): Promise<Credentials> {
  const known = await findCredentials(paths);
  if (known !== undefined) return known;
  await ensureHome(paths);
  return await withLock(join(paths.home, "locks", "credentials"), { doing: "making credentials" }, async () => {
    const theirs = await findCredentials(paths);
    if (theirs !== undefined) return theirs;
    const made = newCredentials();
    await writeFileAtomic(paths.credentials, `${JSON.stringify(made, null, 2)}\n`);
    return made;
  });
}

async function findCredentials(paths: HomePaths): Promise<Credentials | undefined> {
  const text = await findText(paths.credentials);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    // Never made anew: the database was set up with the old ones.
    throw new HarnessError("HOME_UNUSABLE", `The credentials in ${paths.credentials} cannot be read.`, {
      hint: "Restore the file from a copy; without it the shared database cannot be opened, and only `agent-harness infra destroy --force` helps.",
      cause,
    });
  }
}

/** Credentials that nobody has; kept nowhere. */
export function newCredentials(): Credentials {
  return {
    machine: randomUUID(),
    postgres: { user: "postgres", password: randomBytes(18).toString("base64url") },
    s3: { accessKey: `ah${randomBytes(9).toString("hex")}`, secretKey: randomBytes(24).toString("base64url") },
  };
}
