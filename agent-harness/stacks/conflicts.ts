import { access } from "node:fs/promises";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { sideBySide } from "../shared/side-by-side.ts";
import { git, tryGit, zeroEnded } from "./git.ts";
import { type Collision, collides, readMergeTree, touchSameLines, worst } from "./merge-verdict.ts";
import { findRepository } from "./project.ts";
import { listClaims, type RegistryEntry } from "./registry.ts";
import { openSnapshots, type Snapshots } from "./work-snapshot.ts";

export interface ConflictsOptions {
  paths: HomePaths;
  cwd: string;
  /** What the agents' changes are counted from. (Default: origin's default branch, else the main checkout's) */
  base?: string | undefined;
}

/** A checkout in which one or several agents' stacks run. */
export interface AgentWorktree {
  agents: number[];
  path: string;
  /** Absent where no branch is checked out. */
  branch?: string;
  /** How many files differ from where it left the base, uncommitted and new ones too. */
  changed: number;
}

/** What becomes of a file between two checkouts. */
export interface CollidingPair {
  between: [number[], number[]];
  collision: Collision;
  /** Git's own words, where it has some. */
  message?: string;
}

/** A file that more than one agent changed. */
export interface FileConflict {
  file: string;
  agents: number[];
  /** The worst of the pairs. */
  collision: Collision;
  /** Whether a merge would need somebody's hand. */
  collides: boolean;
  pairs: CollidingPair[];
}

export interface ConflictsResult {
  base: { ref: string; commit: string };
  worktrees: AgentWorktree[];
  /** Stacks that cannot be looked at, and why. */
  missing: { agent: number; path: string; reason: string }[];
  conflicts: FileConflict[];
}

/** How many git processes may work at once. */
const atOnce = 4;

/** The files that more than one agent of this repository changed, and whether their changes can be merged. */
export async function findConflicts(options: ConflictsOptions): Promise<ConflictsResult> {
  const repository = await findRepository(options.cwd);
  if (repository === undefined) {
    throw new HarnessError("USAGE", `${options.cwd} is in no git repository.`, {
      hint: "Run it in a repository whose agents have stacks: agent-harness status --everywhere",
    });
  }
  const base = await findBase(repository, options.base);
  const claims = (await listClaims(options.paths)).filter((one) => one.repository === repository);
  await using snapshots = await openSnapshots(repository);
  const missing: ConflictsResult["missing"] = [];
  const checkouts = await openCheckouts(claims, base.commit, snapshots, missing);
  const pairs = await sideBySide(pairsOf(checkouts), atOnce, (pair) => comparePair(pair, repository, snapshots));
  return {
    base,
    worktrees: checkouts.map(({ agents, path, branch, own }) => ({
      agents,
      path,
      ...(branch === undefined ? {} : { branch }),
      changed: own.size,
    })),
    missing,
    conflicts: byFile(pairs.flat()),
  };
}

async function findBase(repository: string, given: string | undefined): Promise<{ ref: string; commit: string }> {
  const origin = await tryGit(repository, ["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
  const branch = await tryGit(repository, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  const ref = given ?? origin ?? branch ?? "HEAD";
  const commit = await tryGit(repository, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`]);
  if (commit !== undefined) return { ref, commit };
  throw new HarnessError("GIT_REF_NOT_FOUND", `There is no commit "${ref}" in ${repository}.`, {
    hint: "Name one that is there: agent-harness conflicts --base <ref>",
  });
}

/** What a side made of a file: its mode and content, as git names them; all zeros where it deleted it. */
type Changes = ReadonlyMap<string, string>;

interface Checkout {
  agents: number[];
  path: string;
  branch: string | undefined;
  head: string;
  commit: string;
  /** What it changed since it left the base. */
  own: Changes;
}

async function openCheckouts(
  claims: readonly RegistryEntry[],
  base: string,
  snapshots: Snapshots,
  missing: ConflictsResult["missing"],
): Promise<Checkout[]> {
  const agents = new Map<string, number[]>();
  for (const { id, workdir } of claims) {
    const path = (await isThere(workdir)) ? await tryGit(workdir, ["rev-parse", "--show-toplevel"]) : undefined;
    if (path !== undefined) agents.set(path, [...(agents.get(path) ?? []), id]);
    else missing.push({ agent: id, path: workdir, reason: (await isThere(workdir)) ? "no checkout" : "deleted" });
  }
  const found = await sideBySide([...agents], atOnce, async ([path, ids]): Promise<Checkout[]> => {
    const skip = (reason: string): Checkout[] => {
      missing.push(...ids.map((agent) => ({ agent, path, reason })));
      return [];
    };
    if ((await tryGit(path, ["rev-parse", "--verify", "--quiet", "HEAD"])) === undefined) return skip("no commit yet");
    const taken = await snapshots.take(path).catch((error: unknown) => {
      // A filter of that checkout that fails, say: the others can be compared all the same.
      if (error instanceof HarnessError) return error;
      throw error;
    });
    if (taken instanceof HarnessError) return skip(taken.message);
    const { head, commit } = taken;
    const start = await tryGit(path, ["merge-base", base, head]);
    if (start === undefined) return skip("shares no commit with the base");
    const branch = await tryGit(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
    const own = await changesSince(path, start, commit, snapshots);
    return [{ agents: ids, path, branch, head, commit, own }];
  });
  return found.flat();
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The files that differ between two commits. A rename is a file gone and one come. */
async function changesSince(path: string, start: string, end: string, { env }: Snapshots): Promise<Changes> {
  const args = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", start, end];
  const parts = zeroEnded(await git(path, args, { env }));
  const changes = new Map<string, string>();
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const [, mode = "", , object = ""] = (parts[at] ?? "").split(" ");
    changes.set(parts[at + 1] ?? "", `${mode} ${object}`);
  }
  return changes;
}

type Pair = readonly [Checkout, Checkout];

const pairsOf = (all: readonly Checkout[]): Pair[] =>
  all.flatMap((one, at) => all.slice(at + 1).map((other): Pair => [one, other]));

/** One file between two checkouts. */
type Found = CollidingPair & { file: string };

async function comparePair([one, other]: Pair, repository: string, snapshots: Snapshots): Promise<Found[]> {
  if (one.own.size === 0 || other.own.size === 0) return [];
  const fork = await tryGit(repository, ["merge-base", one.head, other.head]);
  if (fork === undefined) return [];
  // What one began with, because it began at the other's commit, is no change of both.
  const [ones, others] = await Promise.all(
    [one, other].map((side) => changesSince(repository, fork, side.commit, snapshots)),
  );
  const both = [...one.own.keys()].filter((file) => {
    const [mine, theirs] = [ones?.get(file), others?.get(file)];
    return other.own.has(file) && mine !== undefined && theirs !== undefined && mine !== theirs;
  });
  const merged = await mergeOf([one, other], fork, both, repository, snapshots);
  return [...new Set([...both, ...merged.keys()])].map((file) => ({
    file,
    between: [one.agents, other.agents],
    ...(merged.get(file) ?? { collision: "other-lines" }),
  }));
}

type Verdict = Pick<CollidingPair, "collision" | "message">;

/** Git merges the two where nobody sees it; one older than 2.38 cannot, and the lines are compared. */
async function mergeOf(
  [one, other]: Pair,
  fork: string,
  both: readonly string[],
  repository: string,
  { env }: Snapshots,
): Promise<ReadonlyMap<string, Verdict>> {
  const args = ["merge-tree", "--write-tree", "-z", one.commit, other.commit];
  const text = await tryGit(repository, args, { env, exitCodes: [1] });
  if (text !== undefined) {
    const verdicts = readMergeTree(text).flatMap(({ file, related, collision, message }): [string, Verdict][] => {
      const known = [file, ...related].find((name) => one.own.has(name) || other.own.has(name));
      return known === undefined ? [] : [[known, { collision, message }]];
    });
    return new Map(verdicts);
  }
  return new Map(
    await sideBySide(both, atOnce, async (file): Promise<[string, Verdict]> => {
      const diffs = [one, other].map(({ commit }) =>
        git(repository, ["--literal-pathspecs", "diff", "--unified=0", "--no-renames", fork, commit, "--", file], {
          env,
        }),
      );
      return [file, { collision: collisionByLines(await Promise.all(diffs)) }];
    }),
  );
}

function collisionByLines(diffs: readonly string[]): Collision {
  const [one = "", other = ""] = diffs;
  if (diffs.every((text) => /^new file mode/m.test(text))) return "both-added";
  if (diffs.some((text) => /^deleted file mode/m.test(text))) return "deleted-and-changed";
  if (diffs.some((text) => /^Binary files /m.test(text))) return "binary";
  return touchSameLines(one, other) ? "same-lines" : "other-lines";
}

function byFile(found: readonly Found[]): FileConflict[] {
  const files = [...new Set(found.map((one) => one.file))].sort();
  return files.map((file) => {
    const pairs = found.filter((one) => one.file === file).map(({ file: _, ...pair }) => pair);
    const collision = worst(pairs.map((one) => one.collision));
    const agents = [...new Set(pairs.flatMap((one) => one.between.flat()))].sort((a, b) => a - b);
    return { file, agents, collision, collides: collides(collision), pairs };
  });
}
