import type { Provider, Way } from "../provider.ts";
import { answerLine, interruptLine, messageLine, readPipe } from "./claude-code-pipe.ts";
import { credentialVariables, planPipe, planTerminal } from "./claude-code-plan.ts";
import type { PipeState, TerminalState } from "./claude-code-state.ts";
import { giveAnswer, giveInput, giveInterrupt, readTerminal, takeBackAnswer } from "./claude-code-terminal.ts";

/*
 * Claude Code. Headless it speaks its stream-json protocol on pipes (claude-code-pipe.ts); in a terminal its hooks and its
 * session log speak for it (claude-code-terminal.ts, claude-code-log.ts).
 */

const headless: Way<PipeState> = {
  plan: planPipe,
  read: readPipe,
  input: (state, text) => {
    const { state: after, line } = messageLine(state, text);
    return { state: after, delivery: { lines: [line] } };
  },
  respond: answerLine,
  interrupt: interruptLine,
};

const tmux: Way<TerminalState> = {
  plan: planTerminal,
  read: readTerminal,
  input: giveInput,
  respond: giveAnswer,
  undelivered: takeBackAnswer,
  interrupt: giveInterrupt,
};

/** Claude Code. */
export const claudeCode: Provider = {
  name: "claude-code",
  command: "claude",
  install: "npm install -g @anthropic-ai/claude-code",
  credentialVariables,
  capabilities: { permissions: true, questions: true, resume: true, models: true },
  ways: { headless, tmux },
};
