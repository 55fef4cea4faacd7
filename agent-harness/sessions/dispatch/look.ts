import { isTerminal, type SessionStatus, sessionStatuses } from "../session.ts";
import { type AgentView, failedWith, failureOf } from "./client.ts";
import { maxRetries, remedyFor, withRecovery } from "./recovery.ts";
import { changed, type Dispatched, projectOf, type Run, tell } from "./run.ts";
import type { StreamEvent } from "./watch.ts";

/*
 * What is known of an agent. The server's answer to a GET is the truth; events, webhooks and the clock only say that it is
 * time to ask. So a stale, repeated or lost event can make it later, never wrong.
 */

/** Looks at an agent; false when the server could not say. Asked for while a look is under way, there is another one after it. */
export async function look(run: Run, agent: Dispatched): Promise<boolean> {
  const looking = turns.get(agent) ?? { wanted: 0, done: 0, now: undefined, saw: false };
  turns.set(agent, looking);
  looking.wanted += 1;
  const mine = looking.wanted;
  while (looking.done < mine) {
    looking.now ??= lookOnce(run, agent, looking).finally(() => {
      looking.now = undefined;
    });
    await looking.now;
  }
  return looking.saw;
}

interface Looking {
  /** How often somebody asked, and the asking that the last answer was sent after. */
  wanted: number;
  done: number;
  now: Promise<void> | undefined;
  saw: boolean;
}

const turns = new WeakMap<Dispatched, Looking>();

async function lookOnce(run: Run, agent: Dispatched, looking: Looking): Promise<void> {
  const { wanted } = looking;
  const { id } = agent;
  looking.saw = id !== undefined && (await ask(run, agent, id));
  looking.done = wanted;
  changed(agent);
}

const goneCodes = ["AGENT_NOT_FOUND", "PROJECT_NOT_FOUND"];

async function ask(run: Run, agent: Dispatched, id: string): Promise<boolean> {
  const what = { doing: "look at it", agentId: id, retries: { left: maxRetries.other }, expected: goneCodes };
  try {
    const view = await withRecovery(run.recovery, what, () => run.client.getAgent(projectOf(run).name, id));
    // Started anew meanwhile: this is about the one before.
    if (agent.id === id) see(run, agent, view);
    return true;
  } catch (error) {
    const failure = failureOf(error);
    if (failure === undefined) throw error;
    if (agent.id !== id) return true;
    if (failedWith(error, ...goneCodes)) agent.gone = true;
    // Without an answer it may come back; what the table gives up about will not.
    else if (remedyFor(failure) !== "retry") agent.lost = `${failure.code}: ${failure.message}`;
    return agent.gone;
  }
}

/** Takes over what the server says about an agent. */
export function see(run: Run, agent: Dispatched, view: AgentView): void {
  const waited = agent.waitsFor;
  agent.id = view.id;
  agent.reason = view.reason;
  agent.waitsFor = view.waitsFor;
  agent.attachCommand = view.attachCommand ?? agent.attachCommand;
  agent.logPath = view.logPath ?? agent.logPath;
  setStatus(run, agent, view.status);
  agent.atRest = isTerminal(view.status);
  // What it said before it went on is not its last message.
  if (!agent.atRest) agent.hinted = undefined;
  if (view.waitsFor !== undefined && view.waitsFor !== waited) {
    // Of a headless one the command only shows the journal.
    const terminal = view.attachCommand?.startsWith("tmux ") ? `, or: ${view.attachCommand}` : "";
    tell(run, agent, `asks: ${view.waitsFor} (answer it on the page /inspect of the API${terminal})`);
  }
}

function setStatus(run: Run, agent: Dispatched, status: SessionStatus): void {
  if (status !== "starting") agent.began = true;
  if (agent.status === status) return;
  agent.status = status;
  agent.completionTs = isTerminal(status) ? new Date().toISOString() : undefined;
  tell(run, agent, `is ${status}${agent.reason === undefined ? "" : `: ${agent.reason}`}`);
}

/** What an event says about an agent, and whether it has to be looked at. */
export function hear(run: Run, agent: Dispatched, event: StreamEvent): void {
  agent.lastEventId = event.id ?? agent.lastEventId;
  const { to, message, ts } = event.data;
  const status = event.type === "status_changed" ? sessionStatuses.find((one) => one === to) : undefined;
  if (status !== undefined && !agent.atRest) setStatus(run, agent, status);
  if (status !== undefined && isTerminal(status) && typeof ts === "string") agent.completionTs = ts;
  if (event.type === "error" && typeof message === "string") agent.errorMarker = message;
  if (signsOfWork.includes(event.type)) agent.began = true;
  if (event.type === "agent_terminal_finalized") agent.finalized = true;
  changed(agent);
  if (worthALook(event.type, status)) lookSoon(run, agent);
}

const signsOfWork = ["output", "tool_use", "tool_result", "permission_requested", "question_asked"];

const worthALook = (type: string, status: SessionStatus | undefined): boolean =>
  type === "agent_terminal_finalized" ||
  type === "agent_exited" ||
  (status !== undefined && (isTerminal(status) || status === "waiting_input"));

/** Looks at an agent without waiting for what comes of it. */
export const lookSoon = (run: Run, agent: Dispatched): void => void look(run, agent).catch(run.crash);

/** Looks at every agent that is still of interest. */
export function lookAtAll(run: Run): void {
  for (const agent of run.agents) {
    if (agent.id !== undefined && agent.outcome === undefined && !agent.deleted) lookSoon(run, agent);
  }
}
