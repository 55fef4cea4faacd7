import { createHash } from "node:crypto";
import type { Tools } from "./claude-code-message.ts";

/* What the readers of Claude Code remember between two records. Types, not interfaces: they have to be records of unknowns too. */

/** Of the program on pipes. */
export type PipeState = {
  /** The program's id of the session. */
  session: string;
  /** Where its session log is, as far as that is known before it says so. */
  file?: string;
  /** What is to be done first; gone when it was given. */
  task?: string;
  /** The record with which this run began: makes the ids of this run's messages its own. */
  run: number;
  /** How many messages were given in this run. */
  given: number;
  /** Those that it has not done with: while there is one, it is not at rest. */
  open: string[];
  /** It tells what becomes of each message, and of its state; older versions do not. */
  tells: { messages: boolean; state: boolean; session: boolean };
  /** What it asks, with the id of the tool's use. */
  asked: Record<string, string>;
  tools: Tools;
  /** How the turn ended that is about to be over. */
  ending?: Ending;
  /** An interrupt was sent in this turn. */
  interrupted: boolean;
  /** The last thing on its standard error, and the last failure that was told. */
  stderr?: string;
  failure?: string;
};

export type Ending = { status: "idle" | "error"; reason?: string };

/** Of the program in a terminal. */
export type TerminalState = {
  session: string;
  /** It was started with something to do. */
  hasTask: boolean;
  /** What it asks: by the hook that waits, the tool with its input as a hash, and since when. */
  asked: Record<string, { hash: string; at: number }>;
  tools: Tools;
  /** Inputs of tools at work, as hashes, by the id of their use. */
  hashes: Record<string, string>;
  /** Its hooks have spoken. */
  hooks: boolean;
  /** The prompt of the turn that is under way or was the last one, as its hooks name it. */
  prompt?: string;
  busy: boolean;
  /** An interrupt was sent in this turn. */
  interrupted: boolean;
  /** Prompts that were submitted while it was busy and wait in its queue. */
  queued: number;
  /** The queue gave its next prompt before the turn that goes on was told to be over. */
  next: boolean;
  /** When its prompt was submitted, in ms since 1970. */
  since: number;
  /** The lines that may stand in the input box: what an interrupt put back. */
  boxLines: number;
  /** An interrupted prompt is about to be put back into the box. */
  putBack?: true;
  /** Input that is being given as the answer to what it asks. */
  answering: { wait: string; text: string }[];
  /** The last text of the assistant in this turn. */
  said?: string;
  /** The turn is over with this message, which the session log has not told yet. */
  stopped?: { id: string; at: number; text: string };
  /** What a failed turn said, so that it is told once. */
  failure?: string;
};

/** The state before the first record. */
export function newPipeState(
  session: string,
  known: { file?: string | undefined; task?: string | undefined },
): PipeState {
  return {
    session,
    ...(known.file === undefined ? {} : { file: known.file }),
    ...(known.task === undefined ? {} : { task: known.task }),
    run: 0,
    given: 0,
    open: [],
    tells: { messages: false, state: false, session: false },
    asked: {},
    tools: {},
    interrupted: false,
  };
}

/** The state before the first record. */
export function newTerminalState(session: string, hasTask: boolean): TerminalState {
  return {
    session,
    hasTask,
    asked: {},
    tools: {},
    hashes: {},
    hooks: false,
    busy: false,
    interrupted: false,
    queued: 0,
    next: false,
    since: 0,
    boxLines: 1,
    answering: [],
  };
}

/** An id for a message: the same for the same message, another one in every run. */
export function messageId({ session, run, given }: PipeState): string {
  const hex = createHash("sha256").update(`${session}\0${run}\0${given}`).digest("hex");
  // A version 8 UUID: made by a rule of our own.
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

/** A short name for a value. */
export const hashOf = (value: unknown): string =>
  createHash("sha256")
    .update(JSON.stringify(sorted(value)) ?? "")
    .digest("hex")
    .slice(0, 16);

/** The same value with its keys in order: the hook and the session log need not agree on it. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]));
}
