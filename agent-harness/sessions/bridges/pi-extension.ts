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
  modelRegistry?: { hasConfiguredAuth?(model: unknown): boolean };
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

/** How long pi may take to take an input; it may have to make room in its context first. */
const takenLimitMs = 60_000;

function whyNot({ model, modelRegistry }: Context): string | undefined {
  if (model === undefined) return "pi has no model to ask: choose one with /model.";
  if (modelRegistry?.hasConfiguredAuth?.(model) === false)
    return "pi is not logged in to its model's provider: use /login.";
  return undefined;
}

/** What pi calls with its interface. */
export default function harness(pi: Pi): void {
  const path = process.env["AGENT_HARNESS_PI_SOCKET"];
  if (path !== undefined) new Extension(pi, path).listen();
}

class Extension {
  readonly #pi: Pi;
  readonly #link: Link;
  #context: Context | undefined;
  #starts = 0;
  #failures = 0;
  #retrying: NodeJS.Timeout | undefined;

  constructor(pi: Pi, path: string) {
    this.#pi = pi;
    this.#link = new Link(path, (line) => this.#obey(JSON.parse(line) as Command));
  }

  listen(): void {
    const pi = this.#pi;
    const link = this.#link;
    pi.on("session_start", (event, now) => {
      this.#context = now;
      link.open();
      link.say({ type: "hello", reason: event.reason });
    });
    for (const name of told) pi.on(name, (event) => link.say(event));
    pi.on("agent_start", () => {
      this.#starts += 1;
      this.#stopRetrying();
    });
    pi.on("agent_end", (event) => {
      const last = event.messages?.findLast(({ role }) => role === "assistant");
      this.#ended(last);
      link.say({ type: "agent_end", messages: last === undefined ? [] : [last] });
    });
    pi.on("session_shutdown", (event) => {
      link.say({ type: "session_shutdown", reason: event.reason });
      link.close();
    });
  }

  /** pi may ask the model again after this end; with no new start in time, it was the end. */
  #ended(last: Message | undefined): void {
    const fails = last?.stopReason === "error" && retryable.test(last.errorMessage ?? "");
    this.#failures = fails ? this.#failures + 1 : 0;
    if (!fails || this.#failures > retries.most) return;
    const settle = (): void => {
      this.#retrying = undefined;
      this.#failures = 0;
      this.#link.say({ type: "agent_settled" });
    };
    this.#retrying = setTimeout(settle, retries.baseMs * 2 ** (this.#failures - 1) + retries.marginMs);
    this.#retrying.unref();
  }

  #stopRetrying(): void {
    clearTimeout(this.#retrying);
    this.#retrying = undefined;
  }

  #obey(command: Command): void {
    const answer = { id: command.id, type: "response", command: command.type };
    const yes = (data?: object): void => this.#link.say({ ...answer, success: true, ...(data && { data }) });
    const no = (error: string): void => this.#link.say({ ...answer, success: false, error });
    const now = this.#context;
    if (now === undefined) no("pi has no session.");
    else if (command.type === "get_state") yes(this.#state(now));
    else if (command.type === "prompt") this.#prompt(command.message ?? "", now, yes, no);
    else if (command.type === "abort") {
      this.#abort(now);
      yes();
    } else no(`Not known here: ${command.type}.`);
  }

  #state(now: Context): object {
    return {
      isStreaming: !now.isIdle(),
      isRetrying: this.#retrying !== undefined,
      pendingMessageCount: now.hasPendingMessages() ? 1 : 0,
      sessionId: now.sessionManager.getSessionId(),
      sessionFile: now.sessionManager.getSessionFile(),
    };
  }

  /** Answered when pi has begun a turn with it or keeps it for the turn under way: what pi refuses it shows only to people. */
  #prompt(text: string, now: Context, yes: () => void, no: (error: string) => void): void {
    const why = whyNot(now);
    if (why !== undefined) {
      no(why);
      return;
    }
    const before = this.#starts;
    const end = Date.now() + takenLimitMs;
    this.#pi.sendUserMessage(text, { deliverAs: "steer" });
    const look = (): void => {
      if (this.#starts > before || (!now.isIdle() && now.hasPendingMessages())) yes();
      else if (Date.now() > end) no("pi began no turn with this input. Attach to its terminal to see why.");
      else setTimeout(look, 20).unref();
    };
    look();
  }

  #abort(now: Context): void {
    if (this.#retrying !== undefined) this.#link.say({ type: "agent_settled", aborted: true });
    this.#stopRetrying();
    now.abort();
  }
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
