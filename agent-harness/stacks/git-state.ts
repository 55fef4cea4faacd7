import { tryGit } from "./git.ts";

/** What git says of a working directory. */
export interface GitState {
  /** Absent where no branch is checked out. */
  branch?: string;
  /** The commit that is checked out, shortened; absent before the first one. */
  head?: string;
  /** How many files are changed or new, those that git ignores not counted. */
  changed: number;
}

/** Asks git about a folder; undefined where there is no repository. Takes no lock, so that it is in nobody's way. */
export async function gitState(folder: string): Promise<GitState | undefined> {
  const args = ["--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"];
  const text = await tryGit(folder, args);
  return text === undefined ? undefined : readGitState(text);
}

/** Reads `git status --porcelain=v2 --branch -z`. */
export function readGitState(text: string): GitState {
  const state: GitState = { changed: 0 };
  const parts = text.split("\0");
  for (let at = 0; at < parts.length; at += 1) {
    const part = parts[at] ?? "";
    const [, name, value = ""] = /^# branch\.(head|oid) (.*)$/.exec(part) ?? [];
    if (name === "head" && value !== "(detached)") state.branch = value;
    if (name === "oid" && value !== "(initial)") state.head = value.slice(0, 8);
    if (/^[12u?] /.test(part)) state.changed += 1;
    // The old name of a renamed file is a part of its own.
    if (part.startsWith("2 ")) at += 1;
  }
  return state;
}
