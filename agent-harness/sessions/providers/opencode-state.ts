/* What the reader of opencode remembers between two records. */

// A type, not an interface: it has to be a record of unknowns too.
export type OpencodeState = {
  /** What is to be asked first; gone when it was. */
  task?: string;
  /** How many prompts were given: their ids are p1, p2 … */
  prompts: number;
  /** Prompts that are not in the conversation yet: while there are any, being idle means nothing. */
  owed: number;
  /** new: nothing was told yet; begun: a prompt is in the conversation, and no work at it was told yet. */
  phase: "new" | "idle" | "begun" | "busy";
  /** What went wrong in this turn. */
  failure?: string;
  aborted: boolean;
  /** Sessions of subagents. */
  children: string[];
  /** The last messages of the person: their parts come separately. */
  users: string[];
  /** The text of the assistant's message that is under way, when its last part came, and why its step ended, once it has. */
  text?: { id: string; text: string; at: number; finish?: string };
  /** Ids of the last messages, parts and tool results that were told: after a reconnection they come again. */
  seen: string[];
  /** Ids of the tools at work. */
  tools: string[];
  /** What it asks. */
  asked: string[];
};

/** The state before the first record. */
export function newOpencodeState(task: string | undefined): OpencodeState {
  return {
    ...(task === undefined ? {} : { task }),
    prompts: 0,
    owed: 0,
    phase: "new",
    aborted: false,
    children: [],
    users: [],
    seen: [],
    tools: [],
    asked: [],
  };
}

/** A list with one more, and without its oldest when it has become too long to be kept with each record. */
export const remember = (list: readonly string[], id: string, most = 80): string[] => [...list, id].slice(-most);
