import { readFileSync } from "node:fs";
import { type JournalRecord, journalRecord } from "../sessions/journal.ts";
import type { ReaderState, StartRequest, Way } from "../sessions/provider.ts";
import type { RunWay, Update } from "../sessions/session.ts";

/* Reads a recorded journal with a provider's driver, as a daemon would: nothing is started, nothing is waited for. */

export interface Replay {
  state: ReaderState;
  updates: Update[];
  /** What the driver wrote, in order. */
  writes: string[];
}

/** A request to start that no test has to care about. */
export const startRequest = (runIn: RunWay, changes: Partial<StartRequest> = {}): StartRequest => ({
  id: "trial-brave-otter",
  cwd: "/home/agent/work",
  runIn,
  folder: "/home/agent/s",
  socket: "/home/agent/s/k.sock",
  permissions: "ask",
  env: { HOME: "/home/agent/home", PATH: "/usr/bin" },
  settings: { extraArgs: [] },
  ...changes,
});

/** The records of a fixture; a path below sessions/fixtures. */
export function readFixture(path: string): JournalRecord[] {
  const text = readFileSync(new URL(`../sessions/fixtures/${path}`, import.meta.url), "utf8");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [journalRecord.parse(JSON.parse(line))]));
}

/** Reads records from the state of a plan on. A line that was given to the program and that the driver did not write is input. */
export function replay(way: Way, start: StartRequest, records: readonly JournalRecord[]): Replay {
  const done: Replay = { state: way.plan(start).state, updates: [], writes: [] };
  for (const record of records) {
    if (record.from === "stdin") giveInput(done, way, record.line);
    const { state, updates, writes = [] } = way.read(done.state, record);
    // What the store would keep: nothing but JSON survives.
    done.state = JSON.parse(JSON.stringify(state)) as ReaderState;
    done.updates.push(...updates);
    done.writes.push(...writes);
  }
  return done;
}

function giveInput(done: Replay, way: Way, line: string): void {
  const { message, text } = JSON.parse(line) as { message?: string; text?: string };
  const said = message ?? text;
  if (said === undefined || done.writes.includes(line)) return;
  const { state, delivery } = way.input(done.state, said);
  if (!("lines" in delivery) || !delivery.lines.includes(line)) throw new Error(`Not how input is given now: ${line}`);
  done.state = state;
}

/** A provider's output lines as records. */
export const printed = (...lines: (object | string)[]): JournalRecord[] =>
  lines.map((line, index) => ({
    n: index + 1,
    at: 1_800_000_000_000 + index,
    from: "stdout",
    line: typeof line === "string" ? line : JSON.stringify(line),
  }));

/** One line for each update, for comparing. */
export const told = (updates: readonly Update[]): string[] =>
  updates.flatMap((one) => {
    if (one.type === "status") return [`${one.status}${one.reason === undefined ? "" : ` (${one.reason})`}`];
    if (one.type === "message") return [`${one.message.role}: ${one.message.text}`];
    if (one.type === "tool_use") return [`${one.tool} begins`];
    if (one.type === "tool_result") return [`${one.tool} ${one.isError ? "failed" : "ends"}`];
    if (one.type === "pending") return [`asks: ${one.pending.title}`];
    if (one.type === "resolved") return ["asks no more"];
    if (one.type === "error") return [`error: ${one.message}`];
    return one.type === "unknown" ? ["unknown"] : [];
  });
