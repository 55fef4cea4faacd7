import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { JournalRecord } from "../sessions/journal.ts";
import { type ReadRecord, readJournal } from "../sessions/journal-reader.ts";
import { type StartedKeeper, startKeeper } from "../sessions/keeper.ts";
import { connectKeeper, type KeeperClient } from "../sessions/keeper-client.ts";
import { endSession } from "../sessions/process-end.ts";
import type { KeeperPlan, Spawn } from "../sessions/provider.ts";
import type { RunWay } from "../sessions/session.ts";
import { findKeeper, type SessionFolder, sessionFolder } from "../sessions/session-folder.ts";
import { keeperVariable, sessionFolderVariable } from "../shared/names.ts";
import { homePaths, packageRoot } from "../shared/paths.ts";
import { isRunning, killAll, listMarked } from "../shared/process-tree.ts";
import { shortFolder } from "./short-folder.ts";
import { until } from "./until.ts";

/** A home with keepers in it; nothing of them is left when it is disposed of. */
export interface Keepers extends AsyncDisposable {
  home: string;
  /** The socket of the home's tmux server. */
  tmux: string;
  place: (id?: string) => SessionFolder;
  start: (place: SessionFolder, plan: KeeperPlan, runIn?: RunWay, run?: string) => Promise<StartedKeeper>;
  /** Starts a keeper from a process of its own, which waits to be killed. */
  startElsewhere: (place: SessionFolder, plan: KeeperPlan, runIn?: RunWay, run?: string) => Starter;
  /** A connection that is closed at the end. */
  connect: (place: SessionFolder) => Promise<KeeperClient>;
}

/** A process that started a keeper. */
export interface Starter {
  /** Settles when the keeper runs. */
  started: Promise<void>;
  kill: () => Promise<void>;
}

/** Opens a home. */
export async function openKeepers(): Promise<Keepers> {
  const home = await shortFolder("ah-k-");
  const { tmux } = homePaths(home);
  const open: AsyncDisposable[] = [];
  let count = 0;
  return {
    home,
    tmux,
    place: (id = `fake-${++count}`) => sessionFolder(home, id),
    start: async (place, plan, runIn = "headless", run = undefined) =>
      await startKeeper(place, plan, { runIn, tmux, ...(run === undefined ? {} : { run }) }),
    startElsewhere: (place, plan, runIn = "headless", run = undefined) => {
      const starter = startElsewhere(place, plan, { runIn, tmux, run });
      open.push({ [Symbol.asyncDispose]: starter.kill });
      return starter;
    },
    connect: async (place) => {
      const client = await connectKeeper(place.socket);
      open.push(client);
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of open) await one[Symbol.asyncDispose]();
      const ids = await readdir(join(home, "sessions")).catch(() => []);
      await Promise.all(ids.map((id) => endSession(sessionFolder(home, id), { graceMs: 200 })));
      await nothingLeft(home);
      await until(
        "the tmux server has ended",
        async () => !(await listMarked("TMUX", () => true)).some((one) => one.value.startsWith(tmux)),
      );
      await rm(home, { recursive: true, maxRetries: 5 });
    },
  };
}

function startElsewhere(place: SessionFolder, plan: KeeperPlan, options: unknown): Starter {
  const keeper = join(packageRoot(), "dist", "sessions", "keeper.js");
  const program = [
    `const { startKeeper } = await import(${JSON.stringify(keeper)});`,
    `await startKeeper(...${JSON.stringify([place, plan, options])});`,
    'process.stdout.write("started");',
    "setInterval(() => undefined, 1000);",
  ].join("\n");
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  return {
    started: Promise.race([once(child.stdout, "data"), ended]).then(([said]) => {
      if (!(said instanceof Buffer)) throw new Error("the process that was to start a keeper has ended");
    }),
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Expects that no process of a home's sessions runs. */
export async function nothingLeft(home: string): Promise<void> {
  const inHome = (value: string): boolean => value.startsWith(`${home}/`);
  const left = [...(await listMarked(sessionFolderVariable, inHome)), ...(await listMarked(keeperVariable, inHome))];
  // A test that fails here must not leave them for the others.
  await killAll(left, { graceMs: 0 });
  expect(left.map((one) => one.command)).toEqual([]);
}

/** The program of line-program.mjs, in a mode of it. */
export const lineProgram = (...args: string[]): Spawn => ({
  argv: [process.execPath, join(packageRoot(), "agent-harness", "testing", "line-program.mjs"), ...args],
  cwd: "/tmp",
  env: { PATH: process.env["PATH"] ?? "", LANG: "C.UTF-8", TMUX: "not ours" },
});

/** What a session's journal holds now. */
export async function journalOf(place: SessionFolder): Promise<JournalRecord[]> {
  const records: ReadRecord[] = [];
  for await (const one of readJournal(place.journal)) records.push(one);
  return records.map((one) => one.record);
}

/** The lines of a session's journal from one source. */
export async function linesOf(place: SessionFolder, from: "stdout" | "stderr" | "file" | "stdin"): Promise<string[]> {
  return (await journalOf(place)).flatMap((one) => (one.from === from ? [one.line] : []));
}

/** Waits until a line from the program is in the journal. */
export async function untilLine(place: SessionFolder, line: string | RegExp, limitMs?: number): Promise<string> {
  const fits = (one: string): boolean => (typeof line === "string" ? one === line : line.test(one));
  return await until(`the line ${line}`, async () => (await linesOf(place, "stdout")).find(fits), limitMs);
}

/** Waits until a keeper has ended, and says how its program did. */
export async function untilEnded(
  place: SessionFolder,
  limitMs?: number,
): Promise<{ code: number | null; signal: string | null }> {
  await until("the keeper has ended", async () => (await findKeeper(place)) === undefined, limitMs);
  const last = (await journalOf(place)).at(-1);
  if (last?.from !== "exited") throw new Error(`The last record is ${JSON.stringify(last)}`);
  return { code: last.code, signal: last.signal };
}

/** Waits until a process is gone. */
export const untilGone = async (pid: number): Promise<boolean> =>
  await until(`process ${pid} is gone`, () => !isRunning(pid));
