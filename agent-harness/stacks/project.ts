import { realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type LoadedConfig, loadConfig } from "../shared/config.ts";
import { type HomePaths, harnessHome, homePaths } from "../shared/paths.ts";
import { tryGit } from "./git.ts";

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
  // Not a repository, or no git on this machine: the folder stands for itself.
  const common = await tryGit(folder, ["rev-parse", "--git-common-dir"]);
  return common === undefined ? undefined : dirname(await realpath(resolve(folder, common)));
}
