import { appendFile, mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { overridesFileName } from "../shared/config-overrides.ts";
import { findText } from "../shared/files.ts";
import { tryGit } from "./git.ts";

/** Where ignored files are on their way into a new worktree; there for longer only when that was killed. */
export const carryScratch = ".agent-harness-carry";

/**
 * The rendered files of every agent, what a killed launch leaves of one, and what is this machine's alone, in the words of
 * gitignore.
 */
const patterns = [
  ".env.agent.*",
  "ecosystem.agent.*.config.cjs*",
  "CLAUDE.agent.*.md*",
  `${overridesFileName}*`,
  `/${carryScratch}/`,
];

const heading = "# rendered by agent-harness";

/** Lists the rendered files in `.git/info/exclude`, so that they never count as work; does nothing outside of git. */
export async function excludeFromGit(workdir: string): Promise<void> {
  const path = await excludePath(workdir);
  if (path === undefined) return;
  const text = (await findText(path)) ?? "";
  const lines = text.split("\n");
  const missing = patterns.filter((pattern) => !lines.includes(pattern));
  if (missing.length === 0) return;
  await mkdir(dirname(path), { recursive: true });
  const start = text === "" || text.endsWith("\n") ? "" : "\n";
  await appendFile(path, `${start}${[heading, ...missing].join("\n")}\n`);
}

async function excludePath(workdir: string): Promise<string | undefined> {
  // Not a git work tree, or no git here: nothing that could count the files as work.
  const path = await tryGit(workdir, ["rev-parse", "--git-path", "info/exclude"]);
  return path === undefined ? undefined : resolve(workdir, path);
}
