/* What the reader of pi remembers between two records. */

/** How a turn ended, as far as it is known. */
export interface Ending {
  stopReason: string;
  errorMessage?: string;
}

// A type, not an interface: it has to be a record of unknowns too.
export type PiState = {
  /** What is to be asked first; gone when it was. */
  task?: string;
  /** How many prompts were given: their ids are p1, p2 … */
  prompts: number;
  /** Prompts that pi has not taken yet: while there is one, it is not at rest. */
  owed: string[];
  streaming: boolean;
  retrying: boolean;
  compacting: boolean;
  /** How the last turn ended. */
  last?: Ending;
  /** That it is at rest was told. */
  resting: boolean;
  /** Dialogs of extensions that are open. */
  asked: string[];
  /** pi's id of the session, as it was told. */
  session?: string;
  /** Whether it runs in a terminal. */
  terminal: boolean;
  /** In a terminal: our extension speaks. Until then, the session log is what there is to go by. */
  live: boolean;
  /** Ids of the last messages, since a terminal's are told twice: by the extension and in the session log. */
  seen: string[];
  /** The first record of this run: messages of the session log from before were told by the run before. */
  since?: number;
};

/** The state before the first record. */
export function newPiState(task: string | undefined, terminal: boolean): PiState {
  return {
    ...(task === undefined ? {} : { task }),
    prompts: 0,
    owed: [],
    streaming: false,
    retrying: false,
    compacting: false,
    resting: false,
    asked: [],
    terminal,
    live: false,
    seen: [],
  };
}
