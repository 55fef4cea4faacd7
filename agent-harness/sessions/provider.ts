import type { JournalRecord } from "./journal.ts";
import type { Answer, Pending, ProviderName, RunWay, Update } from "./session.ts";

/*
 * What a coding-agent program has to tell us about itself: one file a provider in providers/. A provider starts nothing,
 * keeps nothing and talks to nobody: it says what is to be started, what a record of the journal means, and which lines tell
 * the program what we want. So each is tested with recorded journals, and a daemon that was killed reads on where it was.
 */

/** A program to be started by the keeper. */
export interface Spawn {
  /** The program and its arguments; never a shell line. */
  argv: [string, ...string[]];
  cwd: string;
  /** The whole environment. */
  env: Record<string, string>;
  /** A file that a terminal's program has as its standard input; it reads keys from the terminal all the same. */
  stdin?: string;
}

/** What the keeper is to run for a session. */
export interface KeeperPlan {
  /** Speaks the protocol over its standard streams, line by line; absent where the terminal program does all. */
  backend?: Spawn;
  /** Runs in the terminal of the tmux window. With it gone, the session is over. */
  terminal?: Spawn;
  /** Files that the programs append lines to, from the start; a glob with `*`, since some have a date in their name. */
  follow?: string[];
  /** Small files that the programs write anew each time; each new text is journaled as a line. `*` in the name of the file. */
  watch?: string[];
  /** Lines of the backend that begin with one of these are not journaled: those that repeat what was said before, each time. */
  drop?: string[];
}

/** A file that has to be there before the program starts: prepareFiles in prepare-files.ts sees to it. */
export type PreparedFile =
  /** With this text, mode 0600. */
  | { path: string; text: string }
  /** A copy of the person's own file, mode 0600; none where there is no such file. */
  | { path: string; copyOf: string }
  /** A link to the person's own file, for what the program writes back; where there is no such file, this text or nothing. */
  | { path: string; linkTo: string; orText?: string };

/** What is known when a session is started or resumed. */
export interface StartRequest {
  /** Ours, such as `codex-brave-otter`. */
  id: string;
  /** The working directory. */
  cwd: string;
  runIn: RunWay;
  /** A folder of the session's own, 0700, for a private home, settings, sockets; its path is short enough for a socket. */
  folder: string;
  /** The keeper's socket; a hook sends one JSON line to it: `{"hook": …}`. */
  socket: string;
  /** The first thing to do; absent on a resume without input. */
  task?: string;
  model?: string;
  /** Text for the model beside the task: the stack's CLAUDE.agent.<id>.md. Given through the program's own channel for it. */
  instructions?: string;
  /** What may be done without asking. `ask` where the provider can ask; else the provider's nearest. */
  permissions: "ask" | "edits" | "all";
  /** What the program may see: the daemon's, the stack's and the credential profile's variables, other credentials taken out. */
  env: Record<string, string>;
  /** The provider's own id of the session, when it is to be gone on with. */
  resume?: string;
  /** What the configuration says of this provider: another command, more arguments, where a local model server is. */
  settings: ProviderSettings;
}

export interface ProviderSettings {
  /** The program, when it is not the usual one on the PATH. */
  command?: string;
  extraArgs: string[];
  /** Where the model is asked instead of at the vendor's: a model server on loopback in tests, a gateway elsewhere. */
  modelUrl?: string;
  modelKey?: string;
}

/** What a provider remembers between two records. JSON, and small: it is kept in the store with the offset of the journal. */
export type ReaderState = Record<string, unknown>;

/** What a record means. */
export interface Reading<State extends ReaderState = ReaderState> {
  state: State;
  updates: Update[];
  /** Lines for the program that the record makes necessary: the next step of a handshake. Written once, whatever is killed. */
  writes?: string[];
}

/** What is done to tell the program something. */
export type Delivery =
  /** Lines for the backend's standard input. */
  | { lines: string[] }
  /**
   * A text pasted into the terminal, and Enter; `first` are keys pressed before, such as those that empty the input box,
   * after a pause where the program is still about to fill it.
   */
  | { paste: string; first?: string[]; pauseMs?: number }
  /** Keys by tmux's names, such as `Escape`. */
  | { keys: string[] }
  /** The answer for a hook that waits at the keeper's socket: it sent `{"hook": …, "wait": "…"}`. */
  | { answer: unknown; wait: string };

/** One way to run a provider. */
export interface Way<State extends ReaderState = ReaderState> {
  /** What is to be started, and the files that have to be there before. Reads nothing but what it is given. */
  plan(start: StartRequest): { keeper: KeeperPlan; files: PreparedFile[]; state: State };
  /** What a record means. Pure: the same state and record give the same reading. Throws for nothing that a program may print. */
  read(state: State, record: JournalRecord): Reading<State>;
  /** How new input is given. `busy` while a turn is under way: the provider queues or steers it. */
  input(state: State, text: string): { state: State; delivery: Delivery };
  /** How what is pending is answered; undefined when this way cannot, or does not know it any more. */
  respond(state: State, pending: Pending, answer: Answer): { state: State; delivery: Delivery } | undefined;
  /** What is remembered when a delivery could not be made, because the hook that it answers does not wait any more. */
  undelivered?(state: State, delivery: Delivery): State;
  /** How a turn is interrupted so that the session stays usable; undefined when only a signal can. */
  interrupt(state: State): { state: State; delivery: Delivery } | undefined;
}

/** What a provider can do; the conformance suite follows it. */
export interface Capabilities {
  /** Asks before it does what was not allowed. */
  permissions: boolean;
  /** Asks the person questions of its own. */
  questions: boolean;
  /** A session can be gone on with after its program has ended. */
  resume: boolean;
  /** A model can be named. */
  models: boolean;
}

/** A coding-agent program. */
export interface Provider {
  name: ProviderName;
  /** What it is called on the PATH. */
  command: string;
  /** How to get it, for the hint of PROGRAM_MISSING. */
  install: string;
  /** Its own variables that carry credentials: taken out of the environment when a credential profile is chosen. */
  credentialVariables: readonly string[];
  capabilities: Capabilities;
  ways: Record<RunWay, Way>;
}
