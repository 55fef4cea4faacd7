import type { Progress } from "../../shared/progress.ts";
import type { SessionStatus } from "../session.ts";
import type { HarnessClient } from "./client.ts";
import type { DispatchRequest } from "./inputs.ts";
import type { RunRecord } from "./record.ts";
import type { Recovery, Retries } from "./recovery.ts";

/* What is known while a dispatch runs. */

/** How an agent's part of the run ended. */
export type Outcome = "succeeded" | "failed" | "timed_out" | "aborted";

/** The last thing that an agent said, and where it was read. */
export interface Summary {
  text: string | null;
  source: "messages/last" | "messages" | "output" | null;
  /** Why there is none. */
  missing: string | null;
}

/** One of the agents that were asked for, whichever agent of the server does its work. */
export interface Dispatched {
  /** 1 to PARALLEL_COUNT. */
  number: number;
  /** 1, and 2 when it was started a second time. */
  attempt: number;
  /** The name that it was, or is just being, created with; its id once it is there. */
  name: string | undefined;
  id: string | undefined;
  status: SessionStatus | undefined;
  reason: string | undefined;
  waitsFor: string | undefined;
  attachCommand: string | undefined;
  logPath: string | undefined;
  /** The newest event about it. */
  lastEventId: number | undefined;
  /** Its last `error` event. */
  errorMarker: string | undefined;
  /** Whether anything was seen of it that a program does only after it has begun with its task. */
  began: boolean;
  /** A GET said that it has come to rest. */
  atRest: boolean;
  /** Its last message can be read: the server has said so. */
  finalized: boolean;
  /** Its last message, read because a webhook said that it has come to rest. */
  hinted: string | undefined;
  /** It is not there any more, and not by us. */
  gone: boolean;
  /** The server will not let us see it; nothing more will be known of it. */
  lost: string | undefined;
  completionTs: string | undefined;
  outcome: Outcome | undefined;
  summary: Summary | undefined;
  deleted: boolean;
  /** Agents of the server that were deleted and started anew for it. */
  replaces: string[];
  /** Retries of its creation. */
  retries: Retries;
  /** Who waits for a change. */
  listeners: Set<() => void>;
}

/** Why a run ends. */
export type StopReason = "met" | "timeout" | "interrupted" | "crashed";

/** How long things may take that no input is about; tests make them shorter. */
export interface Pace {
  backoffMs: number;
  /** How often every agent is looked at, whatever the stream says. */
  pollMs: number;
  /** Without even a heartbeat for so long, a stream counts as dropped. */
  silenceMs: number;
  /** How long the last message may take after the agent has come to rest. */
  settleMs: number;
}

export const usualPace: Pace = { backoffMs: 250, pollMs: 5000, silenceMs: 45_000, settleMs: 2000 };

/** A project that agents run in. */
export interface ProjectInUse {
  name: string;
  cwd: string;
  /** By this run, so that this run may delete it. */
  created: boolean;
  deleted: boolean;
}

/** A run under way. */
export interface Run {
  client: HarnessClient;
  request: DispatchRequest;
  progress: Progress;
  pace: Pace;
  recovery: Recovery;
  record: RunRecord;
  project: ProjectInUse | undefined;
  agents: Dispatched[];
  /** Why it ends; undefined while it goes on. */
  stopReason: StopReason | undefined;
  /** Aborted with the stop. */
  stopped: AbortSignal;
  stop(reason: StopReason): void;
  /** A bug of ours: the run ends, and its report says so. */
  crash: (error: unknown) => void;
  /** Where the server posts hints to. */
  callback: { url: string; token: string } | undefined;
}

/** An agent before it is asked for. */
export const newDispatched = (number: number, retries: Retries): Dispatched => ({
  number,
  attempt: 0,
  name: undefined,
  retries,
  replaces: [],
  outcome: undefined,
  summary: undefined,
  completionTs: undefined,
  deleted: false,
  listeners: new Set(),
  ...unseen(),
});

/** What is known of an agent that nothing was heard of yet. */
export const unseen = () => ({
  id: undefined,
  status: undefined,
  reason: undefined,
  waitsFor: undefined,
  attachCommand: undefined,
  logPath: undefined,
  lastEventId: undefined,
  errorMarker: undefined,
  began: false,
  atRest: false,
  finalized: false,
  hinted: undefined,
  gone: false,
  lost: undefined,
});

/** Whoever waits for a change of the agent looks again. */
export function changed(agent: Dispatched): void {
  for (const listener of [...agent.listeners]) listener();
}

/** Waits until something is true of an agent, for at most `limitMs`, or until the signal; says whether it is true. */
export async function agentUntil(
  agent: Dispatched,
  isTrue: () => boolean,
  { limitMs, signal }: { limitMs?: number; signal?: AbortSignal },
): Promise<boolean> {
  if (isTrue() || signal?.aborted) return isTrue();
  await new Promise<void>((resolve) => {
    const timer = limitMs === undefined ? undefined : setTimeout(end, limitMs);
    const look = (): void => {
      if (isTrue()) end();
    };
    function end(): void {
      clearTimeout(timer);
      agent.listeners.delete(look);
      signal?.removeEventListener("abort", end);
      resolve();
    }
    agent.listeners.add(look);
    signal?.addEventListener("abort", end);
  });
  return isTrue();
}

/** Whether nothing more is to be expected of an agent. */
export const isOver = (agent: Dispatched): boolean => agent.atRest || agent.gone || agent.lost !== undefined;

/** The project; there is one before there are agents. */
export function projectOf({ project }: Run): ProjectInUse {
  if (project === undefined) throw new Error("there is no project yet");
  return project;
}

/** One line for people about an agent. */
export function tell({ progress }: Run, agent: Dispatched, text: string): void {
  progress({ type: "note", text: `${agent.id ?? agent.name ?? `agent ${agent.number}`} ${text}` });
}
