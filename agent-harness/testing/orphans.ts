import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openBuckets } from "../infra/buckets.ts";
import { packageRoot } from "../shared/paths.ts";
import type { GcItem } from "../stacks/gc/items.ts";
import { markVariable } from "../stacks/plan.ts";
import { stackLock } from "../stacks/registry.ts";
import { git, openSmall, type SmallHarness, smallConfig } from "./small.ts";

/** A small harness whose stacks can be forgotten. */
export interface OrphanHarness extends SmallHarness {
  /** A project with the template database built; its worktrees are made in `trees`. */
  repo: string;
  trees: string;
  machine: string;
  /** Runs `agent-harness gc --json` and expects exit 0. */
  gc: (...argv: string[]) => Promise<GcItem[]>;
  /** Loses all that is written down of stacks; what they are made of runs on. */
  forget: (...ids: number[]) => Promise<void>;
  /** Runs statements, each by itself. */
  run: (...statements: string[]) => Promise<void>;
  databases: () => Promise<string[]>;
  /** A process of its own that works on a stack until it is told to end. */
  holdStack: (id: number) => Promise<{ pid: number; end: () => Promise<void> }>;
  /** Everything that a command which only looks could change. */
  everything: (...ids: number[]) => Promise<Record<string, unknown>>;
}

/** What the stack of an agent answers over HTTP. */
export const answers = async (id: number): Promise<unknown> =>
  (await fetch(`http://localhost:${8000 + id * 10}/`)).json();

/** Opens one; infra runs and the template database is built. */
export async function openOrphans(): Promise<OrphanHarness> {
  const h = await openSmall();
  const repo = await h.project();
  const trees = join(h.home, "trees");
  await writeFile(join(repo, "agent-harness.yml"), smallConfig({ rest: `worktree: { root: ${trees} }` }));
  await git(repo, "commit", "-qam", "worktrees");
  await h.ok(repo, "setup");
  const { machine } = await h.infra();
  const databases = async (): Promise<string[]> =>
    (await h.sql("postgres", "select datname from pg_database order by 1")).map((row) => String(row["datname"]));
  return {
    ...h,
    repo,
    trees,
    machine,
    databases,
    holdStack: async (id) => await holdStack(h, id),
    gc: async (...argv) => JSON.parse((await h.ok(repo, "gc", "--json", ...argv)).stdout) as GcItem[],
    forget: async (...ids) => await forget(h, ids),
    run: async (...statements) => {
      for (const one of statements) await h.sql("postgres", one);
    },
    everything: async (...ids) => ({
      databases: await databases(),
      comments: await h.sql("postgres", "select objoid, description from pg_shdescription order by 1"),
      buckets: await openBuckets((await h.infra()).s3).list(),
      repo: await namesBelow(repo),
      trees: await namesBelow(trees),
      stacks: await namesBelow(h.paths.stacks),
      locks: await namesBelow(join(h.home, "locks")),
      home: (await readdir(h.home)).sort(),
      registry: await readFile(h.paths.registry, "utf8").catch(() => "none"),
      pids: await Promise.all(ids.map(h.pids)),
    }),
  };
}

async function forget({ paths }: SmallHarness, ids: readonly number[]): Promise<void> {
  const { version, stacks } = JSON.parse(await readFile(paths.registry, "utf8"));
  for (const id of ids) {
    delete stacks[id];
    await rm(join(paths.stacks, String(id)), { recursive: true, force: true });
  }
  await writeFile(paths.registry, JSON.stringify({ version, stacks }));
}

async function holdStack({ paths }: SmallHarness, id: number): Promise<{ pid: number; end: () => Promise<void> }> {
  const lock = join(packageRoot(), "dist", "shared", "lock.js");
  const program = [
    `const { withLock } = await import(${JSON.stringify(lock)});`,
    `await withLock(${JSON.stringify(stackLock(paths, id))}, { doing: "a test" }, async () => {`,
    '  process.stdout.write("held");',
    "  for await (const _ of process.stdin);",
    "});",
  ].join("\n");
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const end = async (): Promise<void> => {
    child.stdin.end();
    await once(child, "exit");
  };
  return { pid: child.pid ?? 0, end };
}

async function namesBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true }).catch(() => [])).sort();
}

/** The kinds of a small stack's things, in the order in which gc takes them away. */
export const ofStack = ["processes", "processes", "process-file", "instructions", "env-file", "bucket", "database"];

/** What gc says of the things of one agent, a line each. */
export const itemsOf = (items: readonly GcItem[], id: number): string[] =>
  items.filter((one) => one.owner === id).map(({ action, kind }) => `${action} ${kind}`);

/** What gc says of the thing of this name. */
export const itemNamed = (items: readonly GcItem[], name: string): GcItem | undefined =>
  items.find((one) => one.name === name);

/** The statement that writes a stamp, or any other text, on a database. */
export const commentOn = (name: string, stamp: unknown): string =>
  `comment on database ${name} is '${typeof stamp === "string" ? stamp : JSON.stringify(stamp)}'`;

/** Starts a process in no tree of ours, with this mark in its environment. */
export function startEscaped(mark: string): number {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"], {
    env: { PATH: process.env["PATH"], [markVariable]: mark },
    detached: true,
    stdio: "ignore",
  });
  child.unref();
  if (child.pid === undefined) throw new Error("the process did not start");
  return child.pid;
}
