import { connect, type Socket } from "node:net";

/*
 * An extension that pi's terminal program loads: it says what happens, as pi's rpc mode would on its standard output, and does
 * what it is told, as rpc mode would. The other end of its socket is pi-bridge.ts. It may import nothing but Node's own parts.
 */

/** What we use of pi's context for extensions. */
interface Context {
  isIdle(): boolean;
  hasPendingMessages(): boolean;
  abort(): void;
  model?: unknown;
  sessionManager: { getSessionId(): string; getSessionFile(): string | undefined };
}

interface PiEvent {
  type: string;
  messages?: Message[];
  reason?: string;
  [key: string]: unknown;
}

interface Message {
  role?: string;
  stopReason?: string;
  errorMessage?: string;
}

/** What we use of pi's interface for extensions. */
interface Pi {
  on(event: string, handler: (event: PiEvent, context: Context) => void): void;
  sendUserMessage(text: string, options: { deliverAs: "steer" }): void;
}

interface Command {
  id?: string;
  type?: string;
  message?: string;
}

const told = ["agent_start", "message_end", "tool_execution_start", "tool_execution_end"];

/** Errors after which pi asks the model again by itself, without saying so to extensions. */
const retryable =
  /overloaded|rate.?limit|too many requests|429|50[0234]|unavailable|server.?error|internal.?error|network|connection|fetch failed|socket|timed? ?out|timeout|terminated|ended/i;
const retries = { most: 3, baseMs: 2000, marginMs: 2000 };

/** What pi calls with its interface. */
export default function harness(pi: Pi): void {
  const path = process.env["AGENT_HARNESS_PI_SOCKET"];
  if (path === undefined) return;
  const link = new Link(path, (line) => obey(line));
  let context: Context | undefined;
  let failures = 0;
  let retrying: NodeJS.Timeout | undefined;

  /** pi may ask again after this end; with no new start in time, it was the end. */
  const ended = (last: Message | undefined): void => {
    const fails = last?.stopReason === "error" && retryable.test(last.errorMessage ?? "");
    failures = fails ? failures + 1 : 0;
    if (!fails || failures > retries.most) return;
    const settle = (): void => {
      retrying = undefined;
      failures = 0;
      link.say({ type: "agent_settled" });
    };
    retrying = setTimeout(settle, retries.baseMs * 2 ** (failures - 1) + retries.marginMs);
    retrying.unref();
  };

  const state = (now: Context): Record<string, unknown> => ({
    isStreaming: !now.isIdle(),
    isRetrying: retrying !== undefined,
    pendingMessageCount: now.hasPendingMessages() ? 1 : 0,
    sessionId: now.sessionManager.getSessionId(),
    sessionFile: now.sessionManager.getSessionFile(),
  });

  const run = (command: Command, now: Context): Record<string, unknown> | undefined => {
    if (command.type === "get_state") return state(now);
    if (command.type === "prompt") {
      if (now.model === undefined)
        throw new Error("pi has no model to ask: choose one with /model, or log in with /login.");
      pi.sendUserMessage(command.message ?? "", { deliverAs: "steer" });
    } else if (command.type === "abort") {
      clearTimeout(retrying);
      if (retrying !== undefined) link.say({ type: "agent_settled", aborted: true });
      retrying = undefined;
      now.abort();
    } else throw new Error(`Not known here: ${command.type}.`);
    return undefined;
  };

  const obey = (line: string): void => {
    const command = JSON.parse(line) as Command;
    const answer = { id: command.id, type: "response", command: command.type };
    try {
      if (context === undefined) throw new Error("pi has no session.");
      const data = run(command, context);
      link.say({ ...answer, success: true, ...(data === undefined ? {} : { data }) });
    } catch (error) {
      link.say({ ...answer, success: false, error: error instanceof Error ? error.message : String(error) });
    }
  };

  pi.on("session_start", (event, now) => {
    context = now;
    link.open();
    link.say({ type: "hello", reason: event.reason });
  });
  for (const name of told) pi.on(name, (event) => link.say(event));
  pi.on("agent_start", () => {
    clearTimeout(retrying);
    retrying = undefined;
  });
  pi.on("agent_end", (event) => {
    const last = event.messages?.findLast(({ role }) => role === "assistant");
    ended(last);
    link.say({ type: "agent_end", messages: last === undefined ? [] : [last] });
  });
  pi.on("session_shutdown", (event) => {
    link.say({ type: "session_shutdown", reason: event.reason });
    link.close();
  });
}

/** The connection to the bridge. What is said before it is there, or while it is lost, is said when it is. */
class Link {
  readonly #path: string;
  readonly #take: (line: string) => void;
  #socket: Socket | undefined;
  #held: string[] = [];
  #closed = false;

  constructor(path: string, take: (line: string) => void) {
    this.#path = path;
    this.#take = take;
  }

  open(): void {
    const socket = connect(this.#path);
    let rest = "";
    socket.setEncoding("utf8");
    // pi ends when it wants to, whatever is connected.
    socket.unref();
    socket.on("connect", () => {
      this.#socket = socket;
      for (const line of this.#held.splice(0)) socket.write(line);
      if (this.#closed) socket.end();
    });
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    });
    // The close that follows an error says the same.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#socket = undefined;
      if (!this.#closed) setTimeout(() => this.open(), 200).unref();
    });
  }

  say(what: object): void {
    const line = `${JSON.stringify(what)}\n`;
    if (this.#socket === undefined) this.#held.push(line);
    else this.#socket.write(line);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.end();
  }
}
