import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { errorText, HarnessError } from "../shared/errors.ts";
import { LineSplitter } from "./lines.ts";
import type { Delivery } from "./provider.ts";

/* The other end of a keeper's socket. A request is one JSON line, so is its answer; answers come in the order of the requests. */

/** What a keeper can be asked. */
export type KeeperRequest =
  | { write: string; key: string }
  | { paste: string; first?: string[]; pauseMs?: number; key: string }
  | { keys: string[]; key: string }
  /** From a program's hook. With `wait` the answer is held back until somebody gives it. */
  | { hook: unknown; wait?: string }
  /** The answer that the hook which said `wait` gets. */
  | { answer: unknown; wait: string; key: string }
  | { signal: NodeJS.Signals }
  | { end: { graceMs?: number } }
  | { status: true };

/** How a keeper is. */
export interface KeeperStatus {
  pid: number;
  session: string;
  run: string;
  state: "starting" | "running" | "ending";
  programs: { part: "backend" | "terminal"; pid: number }[];
  /** Hooks that wait for an answer. */
  waiting: string[];
  /** The number of the last record in the journal. */
  records: number;
}

/** A connection to a keeper. */
export interface KeeperClient extends AsyncDisposable {
  /** Gives the program a line; false when one with this key was given before. */
  write(line: string, key: string): Promise<boolean>;
  /** Does what a provider wants done; each part of it once, whatever is tried again. False when all of it had been done. */
  deliver(delivery: Delivery, key: string): Promise<boolean>;
  /** Journals what a hook has to say. */
  hook(data: unknown): Promise<void>;
  /** Answers a hook that waits; false when it was answered before, PENDING_STALE when it has gone. */
  answer(wait: string, answer: unknown, key: string): Promise<boolean>;
  /** Sends a signal to the program itself, not to what it started. */
  signal(name: NodeJS.Signals): Promise<void>;
  /** Ends the program and all that it started; comes back when nothing of it is left. */
  end(options?: { graceMs?: number }): Promise<void>;
  status(): Promise<KeeperStatus>;
}

interface Answer {
  done?: boolean;
  status?: KeeperStatus;
  error?: string;
  /** Nobody waits for that answer any more. */
  stale?: boolean;
}

/** How long a keeper may take for an answer, in ms; one that was stopped gives none. */
const answerLimitMs = 10_000;
/** The same for what it types, which may wait for a tmux that is slow. */
const typingLimitMs = 30_000;

function limitOf(request: KeeperRequest): number {
  if ("end" in request) return (request.end.graceMs ?? 0) + 2 * answerLimitMs;
  return "paste" in request || "keys" in request ? typingLimitMs : answerLimitMs;
}

/** Connects to a keeper; KEEPER_GONE when nobody listens there. */
export async function connectKeeper(path: string): Promise<KeeperClient> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (cause) {
    throw gone(path, cause);
  }
  return new SocketClient(socket, path);
}

function gone(path: string, cause?: unknown): HarnessError {
  const why = cause === undefined ? "it closed the connection" : errorText(cause);
  return new HarnessError("KEEPER_GONE", `The keeper of the session does not answer on ${path}: ${why}.`, {
    hint: "Look at keeper.log beside it; new input to the session starts it again.",
    cause,
  });
}

class SocketClient implements KeeperClient {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #closed: HarnessError | undefined;

  constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    const lines = new LineSplitter();
    socket.on("data", (chunk) => {
      for (const line of lines.push(chunk)) this.#waiting.shift()?.resolve(JSON.parse(line) as Answer);
    });
    let cause: unknown;
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => {
      this.#closed = gone(path, cause);
      for (const { reject } of this.#waiting.splice(0)) reject(this.#closed);
    });
  }

  async write(line: string, key: string): Promise<boolean> {
    return (await this.#ask({ write: line, key })).done === true;
  }

  async deliver(delivery: Delivery, key: string): Promise<boolean> {
    if ("answer" in delivery) return await this.answer(delivery.wait, delivery.answer, key);
    if ("paste" in delivery) return (await this.#ask({ ...delivery, key })).done === true;
    if ("keys" in delivery) return (await this.#ask({ keys: delivery.keys, key })).done === true;
    const done = [];
    for (const [at, line] of delivery.lines.entries()) done.push(await this.write(line, `${key}.${at}`));
    return done.includes(true);
  }

  async hook(data: unknown): Promise<void> {
    await this.#ask({ hook: data });
  }

  async answer(wait: string, answer: unknown, key: string): Promise<boolean> {
    const { done, stale } = await this.#ask({ answer, wait, key });
    if (stale !== true) return done === true;
    throw new HarnessError("PENDING_STALE", "The program does not wait for that answer any more.", {
      hint: "Get the session and answer what its `pending` says.",
    });
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    await this.#ask({ signal: name });
  }

  async end(options: { graceMs?: number } = {}): Promise<void> {
    await this.#ask({ end: options });
  }

  async status(): Promise<KeeperStatus> {
    const { status } = await this.#ask({ status: true });
    if (status === undefined) throw gone(this.#path, new Error("its answer has no status"));
    return status;
  }

  async #ask(request: KeeperRequest): Promise<Answer> {
    if (this.#closed !== undefined) throw this.#closed;
    const limitMs = limitOf(request);
    // The answers come in order, so that after one that is missing the connection is of no use.
    const limit = setTimeout(() => this.#socket.destroy(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify(request)}\n`);
    }).finally(() => clearTimeout(limit));
    if (answer.error === undefined) return answer;
    throw new HarnessError("KEEPER_FAILED", `The keeper of the session refused: ${answer.error}`, {
      hint: "Look at keeper.log in the session's folder.",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed !== undefined) return;
    const closed = once(this.#socket, "close");
    this.#socket.end();
    this.#socket.destroy();
    await closed;
  }
}
