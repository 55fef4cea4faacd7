import type { Update } from "../session.ts";
import { rest } from "./claude-code-log.ts";
import type { TerminalState } from "./claude-code-state.ts";
import { parseLine } from "./json.ts";

/*
 * The file in which Claude Code in a terminal says what it is doing: busy, waiting, idle. Only its newest text is ever seen, so
 * hooks and session log go first. It alone tells what calls no hook and leaves no line: that the person at the terminal gave
 * leave, and that a prompt that we interrupt was taken back before the assistant had said anything.
 */

/** What a text of the file means. */
export function readStatusFile(state: TerminalState, text: string): { state: TerminalState; updates: Update[] } {
  const { sessionId, status, statusUpdatedAt: at } = parseLine(text) ?? {};
  if (sessionId !== state.session || typeof at !== "number" || at <= state.since) return { state, updates: [] };
  if (status === "busy") return leaveGiven(state, at);
  // That it rests is told at the same time as why, by hook or log; of a tool that was ended, too. Only of our own interrupt
  // there may be nothing else; and while there is a queue it rests for a moment only.
  const isElsewhere = !state.interrupted || state.queued > 0 || Object.keys(state.tools).length > 0;
  if (status !== "idle" || isElsewhere) return { state, updates: [] };
  const rested = rest(state, [], { type: "status", status: "idle", source: "session_log", reason: "interrupted" });
  return { ...rested, state: { ...rested.state, putBack: true } };
}

/** Busy again after it asked: somebody answered. */
function leaveGiven(state: TerminalState, at: number): { state: TerminalState; updates: Update[] } {
  const answered = Object.keys(state.asked).filter((wait) => at > (state.asked[wait]?.at ?? 0));
  if (answered.length === 0) return { state, updates: [] };
  const asked = Object.fromEntries(Object.entries(state.asked).filter(([wait]) => !answered.includes(wait)));
  const updates = answered.map((pendingId): Update => ({ type: "resolved", pendingId }));
  return {
    state: { ...state, asked },
    updates: [...updates, { type: "status", status: "processing", source: "session_log" }],
  };
}
