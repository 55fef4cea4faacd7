import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readlink, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { connectWebSocket, type WebSocketClient } from "./websocket.ts";

/* `codex app-server` on a unix socket, as a program that speaks in lines. Lines are passed on as they are, nothing is decided. */

const connectLimitMs = 60_000;
const endGraceMs = 3_000;

export interface CodexServerOptions {
  /** Where the server listens. */
  socket: string;
  /** Gets the id of the thread, as soon as codex can show it to another client. */
  threadFile: string;
  /** codex and its settings. */
  argv: readonly string[];
  /** A message of the server, or news of ours in the same shape. */
  line(text: string): void;
  /** What goes wrong, for people. */
  complain(text: string): void;
}

/** A running server, and our connection to it. */
export class CodexServer {
  /** Its exit code, when it has ended and nothing of it is left. */
  readonly ended: Promise<number>;
  readonly #options: CodexServerOptions;
  readonly #process: ChildProcess;
  #client: WebSocketClient | undefined;
  /** We have said who we are on this connection; before that the server hears nothing else. */
  #known = false;
  /** Lines that came too early: sent behind the next handshake. */
  #held: string[] = [];
  #ending = false;
  #threadKnown = false;

  constructor(options: CodexServerOptions) {
    this.#options = options;
    const [program = "codex", ...rest] = options.argv;
    const argv = [...rest, "app-server", "--listen", `unix://${options.socket}`];
    this.#process = spawn(program, argv, { stdio: ["ignore", "ignore", "inherit"] });
    this.ended = this.#end().finally(() => {
      this.#ending = true;
      this.#client?.close();
      return removeSocket(options.socket);
    });
  }

  async #end(): Promise<number> {
    return await new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#options.complain(error.message);
        resolve(1);
      });
      this.#process.on("exit", (code, signal) => {
        if (signal !== null) this.#options.complain(`codex app-server was ended by ${signal}`);
        resolve(code ?? 1);
      });
    });
  }

  /** Keeps a connection for as long as the server lives. A lost one is made anew: who reads us begins again then. */
  async connect(): Promise<void> {
    for (let count = 1; !this.#ending; count += 1) {
      const reason = await this.#connectOnce(count);
      if (!this.#ending) this.#say("bridge/disconnected", { reason });
    }
  }

  async #connectOnce(count: number): Promise<string> {
    let over = (_: string): void => undefined;
    const closed = new Promise<string>((resolve) => {
      over = resolve;
    });
    const client = await this.#open({ text: (text) => this.#told(text), closed: over });
    if (client === undefined) return "ending";
    this.#client = client;
    this.#known = false;
    this.#say("bridge/connected", { count });
    const reason = await closed;
    this.#client = undefined;
    return reason;
  }

  /** Tries until the server listens. */
  async #open(news: Parameters<typeof connectWebSocket>[1]): Promise<WebSocketClient | undefined> {
    const end = Date.now() + connectLimitMs;
    while (!this.#ending) {
      try {
        // codex makes a link to a socket whose path is short enough for one.
        const { socket } = this.#options;
        return await connectWebSocket((await findTarget(socket)) ?? socket, news);
      } catch (error) {
        if (Date.now() > end) throw error;
        await delay(20);
      }
    }
    return undefined;
  }

  /** A line for the server. */
  write(text: string): void {
    const handshake = /"method":\s*"(initialized?)"/.exec(text)?.[1];
    if (this.#client === undefined || (!this.#known && handshake === undefined)) {
      this.#held.push(text);
      return;
    }
    this.#client.send(text);
    if (handshake !== "initialized") return;
    this.#known = true;
    for (const held of this.#held.splice(0)) this.#client.send(held);
  }

  /** Between the tokens of JSON a line's end means nothing, and inside of them it is escaped. */
  #told(text: string): void {
    this.#options.line(text.replaceAll("\n", " "));
    if (this.#threadKnown) return;
    const thread = threadOf(text);
    if (thread === undefined) return;
    this.#threadKnown = true;
    void this.#tellThread(thread);
  }

  /** With its first turn a thread gets a log; before that, codex knows nothing to show. */
  async #tellThread({ id, path }: Thread): Promise<void> {
    while (typeof path === "string" && !existsSync(path) && !this.#ending) await delay(20);
    if (this.#ending) return;
    const { threadFile } = this.#options;
    await writeFile(`${threadFile}.new`, `${id}\n`, { mode: 0o600 });
    await rename(`${threadFile}.new`, threadFile);
  }

  #say(method: string, params: Record<string, unknown>): void {
    this.#options.line(JSON.stringify({ method, params }));
  }

  /** Ends the server. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#client?.close();
    this.#process.kill("SIGTERM");
    setTimeout(() => this.#process.kill("SIGKILL"), endGraceMs).unref();
  }
}

interface Thread {
  id: string;
  /** Its log. */
  path?: string | null;
}

/** The thread that an answer describes: the first one is the session's. */
function threadOf(text: string): Thread | undefined {
  const { result } = JSON.parse(text) as { result?: { thread?: Thread } };
  return typeof result?.thread?.id === "string" ? result.thread : undefined;
}

/** codex leaves its socket when it is killed: a link, and what it points to in a folder of its own. */
export async function removeSocket(path: string): Promise<void> {
  const target = await findTarget(path);
  const left = target === undefined ? [path] : [path, target, `${target}.lock`];
  await Promise.all(left.map((one) => rm(one, { force: true })));
}

const findTarget = async (link: string): Promise<string | undefined> => await readlink(link).catch(() => undefined);
