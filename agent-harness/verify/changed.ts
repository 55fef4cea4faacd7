import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { HarnessError } from "../shared/errors.ts";
import { matchGlobs } from "../shared/globs.ts";
import type { PlannedCommand } from "./plan.ts";

const run = promisify(execFile);

/** The changed files of a `changed` command: as arguments, relative to its folder; undefined for other commands. */
export async function findChanged(command: PlannedCommand, workdir: string): Promise<string[] | undefined> {
  if (command.type !== "run" || command.changed === undefined) return undefined;
  const { globs, since } = command.changed;
  const files = (await changedSince(workdir, since)).filter((path) => matchGlobs(path, globs));
  return files
    .filter((path) => existsSync(join(workdir, path)))
    .sort()
    .map((path) => relative(command.cwd, join(workdir, path)))
    .map((path) => (path.startsWith("-") ? `./${path}` : path));
}

/**
 * The files below a folder that differ from where its branch left a git ref, committed or not, and the new ones that
 * are not ignored. In a repository without commits all files are new. Throws CONFIG_INVALID for an unknown ref.
 */
async function changedSince(workdir: string, since: string): Promise<string[]> {
  const created = await lines(workdir, ["ls-files", "-z", "--others", "--exclude-standard"]);
  const commit = await findCommit(workdir, since);
  if (commit === undefined) {
    if (since === "HEAD") return [...(await lines(workdir, ["ls-files", "-z"])), ...created];
    throw new HarnessError("CONFIG_INVALID", `verify: ${JSON.stringify(since)} is no commit of ${workdir}.`, {
      hint: "Correct `since` of the stage in agent-harness.yml, or fetch that branch.",
    });
  }
  const changed = await lines(workdir, ["diff", "--name-only", "-z", "--relative", "--no-renames", commit, "--"]);
  return [...new Set([...changed, ...created])];
}

/** The commit that a ref and HEAD have in common; what happened on the other branch since then is not our change. */
async function findCommit(workdir: string, since: string): Promise<string | undefined> {
  if (since.startsWith("-")) return undefined;
  const commit = await git(workdir, ["rev-parse", "-q", "--verify", `${since}^{commit}`], [1, 128]);
  if (commit === undefined) return undefined;
  return ((await git(workdir, ["merge-base", commit.trim(), "HEAD"], [1, 128])) ?? commit).trim();
}

const lines = async (workdir: string, args: string[]): Promise<string[]> =>
  ((await git(workdir, args)) ?? "").split("\0").filter((path) => path !== "" && !path.endsWith("/"));

async function git(workdir: string, args: string[], expectedExits: number[] = []): Promise<string | undefined> {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: "C" };
  // A git hook that calls verify sets these; here the folder alone decides.
  for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"]) delete env[name];
  try {
    return (await run("git", args, { cwd: workdir, env, maxBuffer: 256 * 1024 * 1024 })).stdout;
  } catch (cause) {
    const exit = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
    if (typeof exit === "number" && expectedExits.includes(exit)) return undefined;
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new HarnessError("COMMAND_FAILED", `git could not say what changed in ${workdir}: ${said}`, {
      hint: "`changed` works in a git work tree only; take it out of the stage in agent-harness.yml elsewhere.",
      cause,
    });
  }
}
