import type { JournalRecord } from "./journal.ts";
import type { Delivery, ReaderState } from "./provider.ts";
import type { Answer, Pending, ProviderName, RunWay, SessionMessage, SessionStatus } from "./session.ts";

/*
 * What is kept of a session besides what its row shows: JSON, stored in the same transaction as the offset of the journal
 * up to which it is true. Whoever takes a session over goes on from here and from nothing else.
 */

/** Something that a session is to be told. Kept until it is done, in order, so that it outlives the daemon that was asked. */
export type Command =
  | { key: string; kind: "input"; text: string }
  | { key: string; kind: "answer"; pending: Pending; answer: Answer }
  | { key: string; kind: "interrupt" };

/** A command whose delivery is decided: it is given to the keeper under its key, again after a crash, and taken once. */
export interface Sending {
  key: string;
  kind: Command["kind"];
  delivery: Delivery;
  /** The input itself, should the program end before it has got it. */
  text?: string;
}

/** A start that is owed: kept from before the program is started until the journal says that it was. */
export interface Launching {
  /** Names this start: a keeper that is started twice for it starts the program once. */
  run: string;
  /** What it is to do first; absent when there is nothing but to go on. */
  task?: string;
  /** The provider's id of the session that is gone on with. */
  resume?: string;
}

/** A terminal status that has not been announced with its last message yet. */
export interface Finalizing {
  status: SessionStatus;
  observedAt: number;
}

/** What is kept besides the row. */
export interface Memory {
  /** Rises with each change by anybody, so that who works one out knows whether it still fits. */
  revision: number;
  reader: ReaderState;
  launching?: Launching;
  /** What it asks, oldest first; the row shows the first. */
  pendings: Pending[];
  /** Ids that were answered in this run of the program: a program that lists one again is only slow. */
  answered: string[];
  commands: Command[];
  sending?: Sending;
  /** The key of the last input that was given; until the journal has it, what the journal says is about the turn before. */
  awaiting?: string;
  /** Tools that are at work, by the id of their use. */
  tools: Record<string, string>;
  /** When the turn began that is under way or was the last one. */
  turnAt: number;
  /** The last assistant message of this turn, and which kind of record told it. */
  last?: { text: string; source: string };
  finalizing?: Finalizing;
  /** When the program was asked to start, and how often since its last rest it was started again after it was lost. */
  startedAt: number;
  revivals: number;
  /** When the journal's last record was written. */
  recordAt: number;
  /** The last that it said on its standard error before it had begun. */
  complaint?: string;
  /** How many records its driver did not know. */
  unknown?: number;
  /** Why we end it, from before the first signal. */
  ending?: string;
  /** It is to be gone when it has ended. */
  deleting?: boolean;
  /** It was silent for too long; what it says next takes that back. */
  stalled?: boolean;
  /** Until when an interrupted turn has to have ended. */
  interruptBy?: number;
  /** What an interrupted turn that began then has left running is still to be ended. */
  sweepFrom?: number;
}

/** The memory of a session that is about to be started. */
export function newMemory(reader: ReaderState, now: number): Memory {
  return {
    revision: 1,
    reader,
    pendings: [],
    answered: [],
    commands: [],
    tools: {},
    turnAt: now,
    startedAt: now,
    revivals: 0,
    recordAt: now,
  };
}

/** A memory for another run of the program: what it asked and used is gone with it, what it is to be told stays. */
export function memoryOfNextRun(memory: Memory, reader: ReaderState, now: number): Memory {
  const { revision, launching, commands, revivals, finalizing, last, unknown } = memory;
  return {
    ...newMemory(reader, now),
    revision,
    commands,
    revivals,
    ...(launching && { launching }),
    ...(finalizing && { finalizing }),
    ...(last && { last }),
    ...(unknown === undefined ? {} : { unknown }),
  };
}

/** A session while something that happened to it is worked into it; what comes out is stored in one transaction. */
export interface Draft {
  id: string;
  project: string;
  provider: ProviderName;
  runIn: RunWay;
  status: SessionStatus;
  reason: string | undefined;
  lastActivity: Date;
  providerSessionId: string | undefined;
  providerSessionFile: string | undefined;
  memory: Memory;
  events: DraftEvent[];
  messages: (SessionMessage & { source: string })[];
  /** Lines that the program needs to go on, each under the key by which it is given once. */
  writes: { key: string; line: string }[];
}

/** An event of this session. */
export interface DraftEvent {
  type: string;
  data: Record<string, unknown>;
}

/** Where a record came from, as the source of what it tells. */
export function sourceOf(record: JournalRecord): string {
  if (record.from === "file") return "session_log";
  return record.from === "hook" ? "hook" : "protocol";
}
