import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { LineSplitter } from "../lines.ts";

/* `opencode serve` as the bridge sees it: a process, questions over HTTP, a stream of events. Loopback, with a password. */

export interface Answer {
  status: number;
  body: unknown;
}

const endGraceMs = 3_000;
/** It sends a heartbeat every ten seconds. */
const silenceMs = 30_000;

export class OpencodeServer {
  readonly password = randomBytes(24).toString("hex");
  url = "";
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  #over = false;

  constructor(argv: readonly string[]) {
    const [program = "opencode", ...rest] = argv;
    this.#child = spawn(program, [...rest, "serve", "--hostname", "127.0.0.1", "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, OPENCODE_SERVER_PASSWORD: this.password, OPENCODE_SERVER_USERNAME: "opencode" },
    });
    this.ended = new Promise((resolve) => {
      this.#child.on("error", (error) => resolve(`could not be started: ${error.message}`));
      this.#child.on("exit", (code, signal) =>
        resolve(signal === null ? `ended with exit code ${code}` : `ended by ${signal}`),
      );
    });
    void this.ended.then(() => {
      this.#over = true;
    });
  }

  /** Waits for the line in which it says where it listens. */
  async listening(): Promise<void> {
    const said = new Promise<string>((resolve) => {
      const lines = new LineSplitter();
      this.#child.stdout?.on("data", (chunk: Buffer) => {
        for (const line of lines.push(chunk)) {
          const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
          if (url !== undefined) resolve(url);
          else process.stderr.write(`${line}\n`);
        }
      });
    });
    const first = await Promise.race([said, this.ended.then((how) => new Error(`opencode serve ${how}.`))]);
    if (first instanceof Error) throw first;
    this.url = first;
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await this.#send(method, path, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString("utf8")) };
  }

  async #send(method: string, path: string, body: unknown): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const sent = request(new URL(path, this.url), {
        method,
        auth: `opencode:${this.password}`,
        headers: { "content-type": "application/json" },
      });
      sent.on("response", resolve).on("error", reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Its events, over one connection after the other: what happened in between has to be asked for after each `connected`. */
  async follow(event: (event: Record<string, unknown>) => void, connected: () => void): Promise<void> {
    while (!this.#over) {
      try {
        const response = await this.#send("GET", "/event", undefined);
        // A connection that is silent is dead, whatever TCP says.
        response.setTimeout(silenceMs, () => response.destroy());
        connected();
        await readEvents(response, event);
      } catch (error) {
        if (!this.#over) process.stderr.write(`The events of opencode broke off: ${String(error)}\n`);
      }
      await delay(100);
    }
  }

  end(): void {
    this.#child.kill("SIGTERM");
    setTimeout(() => this.#child.kill("SIGKILL"), endGraceMs).unref();
  }
}

async function readEvents(response: IncomingMessage, event: (event: Record<string, unknown>) => void): Promise<void> {
  const lines = new LineSplitter();
  for await (const chunk of response) {
    for (const line of lines.push(chunk as Buffer)) {
      const told = line.startsWith("data:") ? parsed(line.slice(5)) : undefined;
      if (typeof told === "object" && told !== null) event(told as Record<string, unknown>);
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
