/* What the reader of codex remembers between two records. */

/** A request of ours that codex has not answered yet. */
export type Call =
  | { kind: "initialize" | "open" | "interrupt" | "clean" }
  /** Input; kept until it was taken. */
  | { kind: "turn"; text: string };

/** A request of codex that somebody has to answer. */
export interface Ask {
  kind: AskKind;
  /** Its id in the protocol, as it came. */
  request: string | number;
}

export type AskKind = "command" | "patch" | "access" | "question" | "approval" | "form";

/** How the session's thread is begun or gone on with. */
export interface Opening {
  method: "thread/start" | "thread/resume";
  params: Record<string, unknown>;
}

// A type, not an interface: it has to be a record of unknowns too.
export type CodexState = {
  /** Its own terminal program is a client of the same server, and answers what we do not know. */
  shared: boolean;
  /** Gone when the thread is open. */
  opening?: Opening;
  /** What is to be done first; gone when it was given. */
  task?: string;
  /** The id of our last request. */
  requests: number;
  calls: Record<string, Call>;
  /** codex's id of the session. */
  thread?: string;
  /** The log of a thread that has none yet: until its first turn nobody can go on with it. */
  newLog?: string;
  /** The turn that is under way. */
  turn?: string;
  /** The last one that ended. */
  lastTurn?: string;
  /** It came to rest while input of ours was not answered: told when that did not begin another turn. */
  rest?: { status: "idle" | "error"; reason?: string };
  /** Input that the turn under way could not be joined by: for when it is over. */
  later?: string;
  /** What is asked, by our own id of it. */
  asks: Record<string, Ask>;
  /** Changes of files that are under way, by their item: whoever is asked about one gets to see it. */
  changes: Record<string, unknown>;
  /** We interrupted the turn: what it left running goes too. */
  stopping?: boolean;
  /** What went wrong in this turn, as it was told. */
  failure?: string;
  /** The first lines on its standard error, for when it does not even start. */
  complaint?: string;
};

/** The state before the first record. */
export function newCodexState(shared: boolean, opening: Opening, task: string | undefined): CodexState {
  return {
    shared,
    opening,
    ...(task === undefined ? {} : { task }),
    requests: 0,
    calls: {},
    asks: {},
    changes: {},
  };
}

/** The state without some of its optional parts. */
export function without<Key extends keyof CodexState>(state: CodexState, ...keys: Key[]): CodexState {
  const left: CodexState = { ...state };
  for (const key of keys) delete left[key];
  return left;
}
