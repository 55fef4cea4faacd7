import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readlink, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { LineSplitter } from "../lines.ts";
import { connectWebSocket, type WebSocketClient } from "./websocket.ts";

/*
 * Stands between the keeper and `codex app-server`, so that codex's own terminal program can be a second client of the same
 * server: `node codex-bridge.js <socket> <thread file> <codex> <arguments …>`. It starts the server on the unix socket, passes
 * lines of its standard input on as messages and messages on as lines, and says when it is connected. It decides nothing.
 */

const connectLimitMs = 60_000;
const endGraceMs = 3_000;

interface Thread {
  id: string;
  path: string | null;
}

class Bridge {
  readonly #socket: string;
  readonly #threadFile: string;
  readonly #server: ChildProcess;
  #client: WebSocketClient | undefined;
  /** Lines that came while there was no connection: sent behind the next handshake. */
  #held: string[] = [];
  #ending = false;
  #threadKnown = false;

  constructor(socket: string, threadFile: string, argv: [string, ...string[]]) {
    this.#socket = socket;
    this.#threadFile = threadFile;
    const [program, ...rest] = argv;
    const listen = ["app-server", "--listen", `unix://${socket}`];
    this.#server = spawn(program, [...rest, ...listen], { stdio: ["ignore", "ignore", "inherit"] });
    this.#server.on("error", (error) => this.#exit(1, error.message));
    this.#server.on("exit", (code, signal) =>
      this.#exit(code ?? 1, signal === null ? undefined : `ended by ${signal}`),
    );
  }

  /** Keeps a connection as long as the server lives. Lost, it is opened anew: who reads us begins again then. */
  async run(): Promise<void> {
    for (let count = 1; !this.#ending; count += 1) {
      const reason = await this.#connect(count);
      if (!this.#ending) say("bridge/disconnected", { reason });
    }
  }

  async #connect(count: number): Promise<string> {
    let over = (_: string): void => undefined;
    const closed = new Promise<string>((resolve) => {
      over = resolve;
    });
    const client = await this.#open({ text: (text) => this.#told(text), closed: over });
    if (client === undefined) return "ending";
    this.#client = client;
    say("bridge/connected", { count });
    const reason = await closed;
    this.#client = undefined;
    return reason;
  }

  /** Asks until the server listens. */
  async #open(news: Parameters<typeof connectWebSocket>[1]): Promise<WebSocketClient | undefined> {
    const end = Date.now() + connectLimitMs;
    while (!this.#ending) {
      try {
        return await connectWebSocket(this.#socket, news);
      } catch (error) {
        if (Date.now() > end) throw error;
        await delay(20);
      }
    }
    return undefined;
  }

  /** A line for the server. */
  write(text: string): void {
    const isHandshake = /"method":"initialized?"/.test(text);
    if (this.#client === undefined || (this.#held.length > 0 && !isHandshake)) {
      this.#held.push(text);
      return;
    }
    this.#client.send(text);
    if (!text.includes('"method":"initialized"')) return;
    for (const held of this.#held.splice(0)) this.#client.send(held);
  }

  /** A message of the server. The first one that describes a thread describes ours. */
  #told(text: string): void {
    line(text);
    if (this.#threadKnown || !text.includes('"result":{"thread":{"id":')) return;
    this.#threadKnown = true;
    void this.#tellThread((JSON.parse(text) as { result: { thread: Thread } }).result.thread);
  }

  /** Tells the terminal program which thread is ours, as soon as codex can show it: with its first turn it gets a log. */
  async #tellThread({ id, path }: Thread): Promise<void> {
    while (path !== null && !existsSync(path) && !this.#ending) await delay(20);
    if (this.#ending) return;
    await writeFile(`${this.#threadFile}.new`, `${id}\n`, { mode: 0o600 });
    await rename(`${this.#threadFile}.new`, this.#threadFile);
  }

  /** Ends the server, and with it the bridge. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#client?.close();
    this.#server.kill("SIGTERM");
    setTimeout(() => this.#server.kill("SIGKILL"), endGraceMs).unref();
  }

  #exit(code: number, reason?: string): void {
    if (reason !== undefined) process.stderr.write(`codex app-server: ${reason}\n`);
    this.#ending = true;
    void removeSocket(this.#socket).finally(() => process.exit(code));
  }
}

/** What the bridge says itself, in the shape of the server's own news. */
const say = (method: string, params: Record<string, unknown>): void => line(JSON.stringify({ method, params }));

/** One message as one line: a line's end outside of a string means nothing in JSON, and inside it is escaped. */
function line(text: string): void {
  process.stdout.write(`${text.replaceAll("\n", " ")}\n`);
}

/** codex leaves its socket when it is killed: a link, and what it points to in a folder of its own. */
async function removeSocket(path: string): Promise<void> {
  const target = await readlink(path).catch(() => undefined);
  const left = target === undefined ? [path] : [path, target, `${target}.lock`];
  await Promise.all(left.map((one) => rm(one, { force: true })));
}

async function main([socket, threadFile, program, ...rest]: string[]): Promise<void> {
  if (socket === undefined || threadFile === undefined || program === undefined) {
    throw new Error("Usage: codex-bridge.js <socket> <thread file> <codex> <arguments …>");
  }
  await removeSocket(socket);
  await rm(threadFile, { force: true });
  const bridge = new Bridge(socket, threadFile, [program, ...rest]);
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => bridge.end());
  const lines = new LineSplitter();
  process.stdin.on("data", (chunk: Buffer) => {
    for (const text of lines.push(chunk)) bridge.write(text);
  });
  process.stdin.on("end", () => bridge.end());
  await bridge.run();
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
