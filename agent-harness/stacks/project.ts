import { execFile } from "node:child_process";
import { realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { type LoadedConfig, loadConfig } from "../shared/config.ts";
import { type HomePaths, harnessHome, homePaths } from "../shared/paths.ts";

const run = promisify(execFile);

/** A user's repository as the harness sees it: its config and which repository it is. */
export interface Project extends LoadedConfig {
  paths: HomePaths;
  /** The repository's main folder, the same from each of its worktrees; the project's folder outside of git. */
  repository: string;
}

export interface ProjectOptions {
  cwd?: string;
  /** `--config`. */
  config?: string | undefined;
  env?: Readonly<Record<string, string | undefined>>;
}

/** Opens the project that `cwd` stands in. */
export async function openProject(options: ProjectOptions = {}): Promise<Project> {
  const env = options.env ?? process.env;
  const loaded = await loadConfig({ cwd: options.cwd ?? process.cwd(), env, explicit: options.config });
  return {
    ...loaded,
    paths: homePaths(harnessHome(env)),
    repository: (await findRepository(loaded.folder)) ?? loaded.folder,
  };
}

/** The main folder of the git repository around a folder; undefined outside of git. */
export async function findRepository(folder: string): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", ["-C", folder, "rev-parse", "--git-common-dir"], { env: withoutGitHook() });
    return dirname(await realpath(resolve(folder, stdout.trim())));
  } catch {
    // Not a repository, or no git on this machine: the folder stands for itself.
    return undefined;
  }
}

/** Inside a git hook these would make git answer for another repository. */
function withoutGitHook(): NodeJS.ProcessEnv {
  const { GIT_DIR: _dir, GIT_WORK_TREE: _tree, GIT_INDEX_FILE: _index, ...env } = process.env;
  return env;
}
