import type { SessionStatus } from "../session.ts";
import type { DispatchError } from "./error-log.ts";
import type { CompletionMode } from "./inputs.ts";
import type { Dispatched, Outcome, Run, Summary } from "./run.ts";

/** What a dispatch gives back, always: seed 001's output contract. */
export interface DispatchReport {
  runId: string | null;
  completion: {
    mode: CompletionMode | null;
    met: boolean;
    reason: "met" | "failed" | "timeout" | "interrupted";
  };
  /** Null when there was none. */
  project: { name: string; cwd: string; created: boolean; deleted: boolean } | null;
  agents: ReportedAgent[];
  messages: ({ agentId: string | null } & Summary)[];
  errors: DispatchError[];
  timings: { start: string; end: string; durationMs: number };
}

/** One agent of the report. */
export interface ReportedAgent {
  /** Null when it was never created. */
  id: string | null;
  provider: string;
  /** The server's last word; null without one. */
  finalStatus: SessionStatus | null;
  /** When it came to rest; null when it did not. */
  completionTs: string | null;
  /** What that means for the run. */
  outcome: Outcome | null;
  reason: string | null;
  /** What it waits for, when it does. */
  waitsFor: string | null;
  attachCommand: string | null;
  logPath: string | null;
  lastEventId: string | null;
  attempts: number;
  /** Agents that were deleted because they never began. */
  replaces: string[];
  deleted: boolean;
}

/** Whether a run has what it was started for. */
export function isMet({ agents, request }: Run): boolean {
  const succeeded = agents.filter(({ outcome }) => outcome === "succeeded").length;
  return request.completion === "any" ? succeeded > 0 : succeeded === request.count;
}

/** The report of a run as it stands. */
export function reportOf(run: Run, errors: readonly DispatchError[], start: Date): DispatchReport {
  const end = new Date();
  return {
    runId: run.request.runId,
    completion: { mode: run.request.completion, met: isMet(run), reason: reasonOf(run) },
    project: run.project === undefined ? null : { ...run.project },
    agents: run.agents.map((agent) => reportAgent(agent, run.request.provider)),
    messages: run.agents.map((agent) => ({ agentId: agent.id ?? null, ...messageOf(agent) })),
    errors: [...errors],
    timings: { start: start.toISOString(), end: end.toISOString(), durationMs: end.getTime() - start.getTime() },
  };
}

const messageOf = ({ summary }: Dispatched): Summary =>
  summary ?? { text: null, source: null, missing: "the run ended before it could be read" };

function reasonOf(run: Run): DispatchReport["completion"]["reason"] {
  if (isMet(run)) return "met";
  if (run.stopReason === "interrupted") return "interrupted";
  const late = run.stopReason === "timeout" || run.agents.some(({ outcome }) => outcome === "timed_out");
  return late ? "timeout" : "failed";
}

const reportAgent = (agent: Dispatched, provider: string): ReportedAgent => ({
  id: agent.id ?? null,
  provider,
  finalStatus: agent.status ?? null,
  completionTs: agent.completionTs ?? null,
  outcome: agent.outcome ?? null,
  reason: agent.reason ?? null,
  waitsFor: agent.waitsFor ?? null,
  attachCommand: agent.attachCommand ?? null,
  logPath: agent.logPath ?? null,
  lastEventId: agent.lastEventId === undefined ? null : `evt-${agent.lastEventId}`,
  attempts: agent.attempt,
  replaces: agent.replaces,
  deleted: agent.deleted,
});

/** The report of a run that could not begin. */
export function reportOfRefusal(
  error: Pick<DispatchError, "code" | "message" | "hint">,
  interrupted = false,
): DispatchReport {
  const at = new Date().toISOString();
  return {
    runId: null,
    completion: { mode: null, met: false, reason: interrupted ? "interrupted" : "failed" },
    project: null,
    agents: [],
    messages: [],
    errors: [{ at, agentId: null, status: null, doing: "begin", count: 1, recovered: false, ...error }],
    timings: { start: at, end: at, durationMs: 0 },
  };
}
