import type { Draft, Memory } from "./memory.ts";
import { isTerminal } from "./session.ts";
import type { Limits } from "./settings.ts";
import { changeStatus, emit } from "./transitions.ts";

/* What a session may not do for too long. Looked at each second by the daemon that has it. */

/** What is to be done about a session: its program ended, or only said that it is silent. */
export type Verdict = { kind: "end" | "stall"; reason: string };

/** What is known of it besides its draft. */
export interface Watched {
  now: number;
  /** Until when the machine slept last; what was not done while it did has not taken long. */
  awakeSince: number;
  /** Whether its program can be gone on with once it has ended. */
  resumable: boolean;
  /** Whether its keeper is there. */
  lives: boolean;
}

/** How far the clock has to be ahead of the time that was spent awake, in ms. */
const sleptMs = 5000;

/** Notices that the machine slept: the clock went on, and the time that it is awake did not. */
export class SleepWatch {
  #ahead = Date.now() - performance.now();
  #awakeSince = 0;

  /** When it woke last, as far as it has slept since this was made; in ms since 1970. */
  awakeSince(now: number): number {
    const ahead = now - performance.now();
    if (ahead - this.#ahead > sleptMs) this.#awakeSince = now;
    this.#ahead = ahead;
    return this.#awakeSince;
  }
}

/** What has taken too long; undefined when nothing has. */
export function findOverdue(draft: Draft, limits: Limits, watched: Watched): Verdict | undefined {
  const { status, memory } = draft;
  const { now, awakeSince, resumable, lives } = watched;
  const over = (since: number, limitMs: number): boolean => limitMs > 0 && now - Math.max(since, awakeSince) > limitMs;
  const end = (reason: string): Verdict => ({ kind: "end", reason });
  if (memory.ending !== undefined) return;
  const works = !isTerminal(status) || memory.stalled === true;
  if (
    works &&
    memory.interruptBy !== undefined &&
    now > Math.max(memory.interruptBy, awakeSince + limits.interruptMs)
  ) {
    return end("aborted: its turn did not end when it was interrupted");
  }
  if (status === "starting" && over(Math.max(memory.startedAt, memory.recordAt), limits.spawnMs)) {
    return end(`no sign of life for ${seconds(limits.spawnMs)} after its start`);
  }
  if (status === "exited" && lives && memory.launching === undefined && over(memory.recordAt, limits.exitMs)) {
    return end(draft.reason ?? "it said that it is over, and did not end");
  }
  // One that was interrupted has a limit of its own.
  if (status === "processing" && memory.interruptBy === undefined) {
    const silent = Object.keys(memory.tools).length === 0 ? limits.noOutputMs : limits.toolMs;
    if (over(Math.max(memory.recordAt, memory.turnAt), silent))
      return { kind: "stall", reason: `no output for ${seconds(silent)}` };
  }
  if ((status === "idle" || status === "error") && resumable && over(draft.lastActivity.getTime(), limits.idleMs)) {
    return end(`at rest for ${seconds(limits.idleMs)}`);
  }
  return;
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

/** Works a verdict into the draft. An end is only noted: the journal says when it is over. */
export function judge(draft: Draft, { kind, reason }: Verdict, now: number): void {
  if (kind === "end") {
    draft.memory.ending = reason;
    return;
  }
  emit(draft, "error", { message: `${draft.id}: ${reason}` });
  changeStatus(draft, { status: "error", source: "keeper", reason, at: now });
  draft.memory.stalled = true;
}

/** Whether a rest can be announced: what the session's log has to say about its end comes a little later than the end. */
export const isQuiet = ({ finalizing, recordAt }: Memory, quietMs: number, now: number): boolean =>
  finalizing !== undefined && now - Math.max(recordAt, finalizing.observedAt) >= quietMs;
