import { expect } from "vitest";
import type { JournalRecord } from "../sessions/journal.ts";
import type { Delivery, ReaderState, StartRequest } from "../sessions/provider.ts";
import { codex } from "../sessions/providers/codex.ts";
import type { Answer, Pending, RunWay, Update } from "../sessions/session.ts";
import { printed, startRequest, told } from "./replay.ts";

/** A codex session without its program: what it tells, and what it would be told. */
export class Told {
  updates: Update[] = [];
  /** Lines that the driver wrote and that are not in the journal yet. */
  owed: string[] = [];
  state: ReaderState;
  readonly #way;

  constructor(start: StartRequest) {
    this.#way = codex.ways[start.runIn];
    this.state = this.#way.plan(start).state;
  }

  read(...records: JournalRecord[]): string[] {
    const before = this.updates.length;
    for (const record of records) {
      if (record.from === "stdin" && this.owed[0] === record.line) this.owed.shift();
      else if (record.from === "stdin") this.#command(record.line);
      const { state, updates, writes = [] } = this.#way.read(this.state, record);
      // What the store would keep: nothing but JSON survives.
      this.state = JSON.parse(JSON.stringify(state)) as ReaderState;
      this.updates.push(...updates);
      this.owed.push(...writes);
    }
    return told(this.updates.slice(before));
  }

  /** A line that the driver did not write by itself: it has to be what it gives now for the same command. */
  #command(line: string): void {
    const { method, params, result } = JSON.parse(line) as {
      method?: string;
      params?: { input?: { text: string }[] };
      result?: unknown;
    };
    if (result !== undefined) return;
    const lines = method === "turn/interrupt" ? this.interrupt() : this.input(params?.input?.[0]?.text ?? "");
    expect(lines).toEqual([line]);
  }

  #done(given: { state: ReaderState; delivery: Delivery } | undefined): string[] {
    if (given === undefined || !("lines" in given.delivery)) throw new Error("Nothing to deliver.");
    this.state = given.state;
    return given.delivery.lines;
  }

  input = (text: string): string[] => this.#done(this.#way.input(this.state, text));
  interrupt = (): string[] => this.#done(this.#way.interrupt(this.state));
  respond = (answer: Answer, pending = this.pending()): unknown[] =>
    this.#done(this.#way.respond(this.state, pending, answer)).map((line) => JSON.parse(line) as unknown);
  canRespond = (pending: Pending, answer: Answer): boolean =>
    this.#way.respond(this.state, pending, answer) !== undefined;

  pending(): Pending {
    const found = this.updates.findLast((one) => one.type === "pending");
    if (found?.type !== "pending") throw new Error("Nothing is pending.");
    return found.pending;
  }
}

/** The program was started. */
export const startedRecord: JournalRecord = { n: 1, at: 1, from: "started", pid: 1, argv: ["codex"] };
/** How codex describes the thread t1. */
export const thread = (type: string, more: object = {}) => ({
  thread: { id: "t1", path: "/log", status: { type, ...more } },
});
/** News about the thread t1. */
export const news = (method: string, params: object = {}) => ({ method, params: { threadId: "t1", ...params } });
export const began = (id: string) => news("turn/started", { turn: { id } });
export const ended = (id: string, status = "completed", error: object | null = null) =>
  news("turn/completed", { turn: { id, status, error } });
/** A request for leave to run a command. */
export const command = (id: number, more: object = {}) => ({
  method: "item/commandExecution/requestApproval",
  id,
  params: { threadId: "t1", turnId: "u1", itemId: `call_${id}`, command: "ls", ...more },
});

export const connected = (count: number) => ({ method: "bridge/connected", params: { count } });

/** One whose turn u1 is under way. */
export function busy(runIn: RunWay = "headless"): Told {
  const session = new Told(startRequest(runIn, { task: "Do." }));
  session.read(startedRecord, ...(runIn === "tmux" ? printed(connected(1)) : []));
  session.read(...printed({ id: 1, result: {} }, { id: 2, result: thread("idle") }));
  session.read(...printed({ id: 3, result: { turn: { id: "u1" } } }, began("u1")));
  return session;
}
