import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type JournalRecord, journalRecord } from "../sessions/journal.ts";
import type { ReaderState, Way } from "../sessions/provider.ts";
import { claudeCode } from "../sessions/providers/claude-code.ts";
import { newPipeState, newTerminalState } from "../sessions/providers/claude-code-state.ts";
import { asRecord, asText, parseLine } from "../sessions/providers/json.ts";
import type { Answer, Pending, Update } from "../sessions/session.ts";
import { fixtureFolder } from "./claude-code-trial.ts";

/* Reads recorded journals of Claude Code again, as a daemon would: with a state that is nothing but JSON, and never changed in place. */

/** The records of a fixture. */
export function fixture(name: string): JournalRecord[] {
  const lines = readFileSync(join(fixtureFolder, `${name}.jsonl`), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => journalRecord.parse(JSON.parse(line)));
}

/** What reading the records told, and the lines that it made necessary. What was given to the program is given again. */
export function replay(records: readonly JournalRecord[]): { updates: Update[]; writes: string[] } {
  const argv = records.flatMap((one) => (one.from === "started" ? one.argv : []));
  const isPipe = argv.includes("-p");
  const way = claudeCode.ways[isPipe ? "headless" : "tmux"];
  const session = argv[argv.findIndex((word) => word === "--session-id" || word === "--resume") + 1] ?? "";
  const task = isPipe ? firstTask(records) : undefined;
  let state: ReaderState = frozen(
    isPipe ? newPipeState(session, { task }) : newTerminalState(session, argv.includes("--")),
  );
  const updates: Update[] = [];
  const writes: string[] = [];
  for (const record of records) {
    if (record.from === "stdin" && !writes.includes(record.line))
      state = frozen(given(way, state, record.line, updates));
    const reading = way.read(state, record);
    state = frozen(reading.state);
    updates.push(...reading.updates);
    writes.push(...(reading.writes ?? []));
  }
  return { updates, writes };
}

function firstTask(records: readonly JournalRecord[]): string | undefined {
  const lines = records.flatMap((one) => (one.from === "stdin" ? [parseLine(one.line) ?? {}] : []));
  return asText(asRecord(lines.find(({ type }) => type === "user")?.["message"])["content"]);
}

/** The state after the same was given to the program that the journal says was given. */
function given(way: Way, state: ReaderState, line: string, updates: readonly Update[]): ReaderState {
  const parsed = parseLine(line);
  const decision = asRecord(asRecord(parsed?.["hookSpecificOutput"])["decision"]);
  if (decision["behavior"] !== undefined) return answered(way, state, decision, updates);
  if (parsed?.["type"] === "user") return way.input(state, asText(asRecord(parsed["message"])["content"]) ?? "").state;
  if (line === "Escape") return way.interrupt(state)?.state ?? state;
  if (parsed !== undefined) return state;
  return way.input(state, line).state;
}

function answered(
  way: Way,
  state: ReaderState,
  decision: Record<string, unknown>,
  updates: readonly Update[],
): ReaderState {
  const pending = updates.findLast((one) => one.type === "pending")?.pending as Pending;
  const answers = asRecord(decision["updatedInput"])["answers"] as Record<string, string> | undefined;
  const denied: Answer = { decision: "deny", message: asText(decision["message"]) ?? "" };
  const answer: Answer =
    decision["behavior"] === "deny" ? denied : answers === undefined ? { decision: "allow" } : { answers };
  return way.respond(state, pending, answer)?.state ?? state;
}

function frozen<T>(value: T): T {
  const freeze = (one: unknown): void => {
    if (typeof one !== "object" || one === null) return;
    Object.freeze(one);
    for (const inner of Object.values(one)) freeze(inner);
  };
  const copy = JSON.parse(JSON.stringify(value)) as T;
  freeze(copy);
  return copy;
}

/** What was told, one short line each. */
export function story(updates: readonly Update[]): string[] {
  return updates.flatMap((one): string[] => {
    if (one.type === "status")
      return [`${one.status} (${one.source})${one.reason === undefined ? "" : `: ${one.reason}`}`];
    if (one.type === "pending") return [`asks ${one.pending.kind}: ${one.pending.title}`];
    if (one.type === "resolved") return ["asks no more"];
    if (one.type === "message") return [`${one.message.role}: ${one.message.text}`];
    if (one.type === "tool_use") return [`uses ${one.tool}`];
    if (one.type === "tool_result") return [`${one.tool} ${one.isError ? "failed" : "done"}`];
    if (one.type === "error") return [`error: ${one.message}`];
    return one.type === "unknown" ? [`unknown: ${JSON.stringify(one.raw)}`] : [];
  });
}
