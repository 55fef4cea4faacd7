import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { LineSplitter } from "../lines.ts";
import { EventFilter } from "./opencode-filter.ts";
import { type Answer, OpencodeServer } from "./opencode-server.ts";

/*
 * Stands between the keeper and `opencode serve`: `node opencode-bridge.js <settings file>`. It starts the server, begins or
 * goes on with one session, says the server's events as lines, and does what the lines that it reads say. After each
 * connection it says what it may have missed (bridge.snapshot). It decides nothing.
 */

interface Settings {
  argv: string[];
  /** Where it says to the terminal program which server and session it is: address, password, session, a line each. */
  serverFile: string;
  resume?: string;
}

interface Command {
  do: "prompt" | "reply" | "answer" | "reject" | "abort";
  id?: string;
  text?: string;
  reply?: string;
  message?: string;
  answers?: string[][];
}

type Event = Record<string, unknown>;
const say = (type: string, properties: object): void => line({ type, properties });
const line = (what: object): void => {
  process.stdout.write(`${JSON.stringify(what)}\n`);
};
const list = (answer: Answer): Event[] => (Array.isArray(answer.body) ? (answer.body as Event[]) : []);

class Bridge {
  readonly #settings: Settings;
  readonly #server: OpencodeServer;
  readonly #filter = new EventFilter();
  #session = "";
  /** The session's newest message when it was gone on with: older ones were told then. */
  #since = "";
  /** How many prompts opencode was given. */
  #taken = 0;
  /** Commands one after the other, none before there is a session. */
  #queue: Promise<void>;
  #ready: () => void = () => undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#server = new OpencodeServer(settings.argv);
    this.#queue = new Promise((resolve) => {
      this.#ready = resolve;
    });
  }

  async run(): Promise<string> {
    await this.#server.listening();
    const connected = new Promise<void>((resolve) => {
      void this.#server.follow(
        (event) => this.#told(event),
        () => {
          resolve();
          if (this.#session !== "") void this.#snapshot(false);
        },
      );
    });
    await connected;
    await this.#open();
    await writeWhole(this.#settings.serverFile, [this.#server.url, this.#server.password, this.#session]);
    say("bridge.ready", { session: this.#session });
    await this.#snapshot(false);
    this.#ready();
    return await this.#server.ended;
  }

  async #open(): Promise<void> {
    const { resume } = this.#settings;
    const answer =
      resume === undefined
        ? await this.#server.ask("POST", "/session", {})
        : await this.#server.ask("GET", `/session/${encodeURIComponent(resume)}`);
    const { id } = answer.body as { id?: string };
    if (answer.status !== 200 || id === undefined) {
      throw new Error(`opencode has no session ${resume ?? ""}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    this.#session = id;
    if (resume === undefined) return;
    const [newest] = list(await this.#server.ask("GET", `/session/${id}/message?limit=1`)).slice(-1);
    this.#since = String((newest?.["info"] as Event | undefined)?.["id"] ?? "");
  }

  #told(event: Event): void {
    if (this.#filter.keeps(event)) line(event);
  }

  /** What there is now; `settled` after an interrupt, when no prompt that was taken can still begin. */
  async #snapshot(settled: boolean): Promise<void> {
    const [permissions, questions, statuses, messages] = await Promise.all([
      this.#server.ask("GET", "/permission"),
      this.#server.ask("GET", "/question"),
      this.#server.ask("GET", "/session/status"),
      this.#server.ask("GET", `/session/${this.#session}/message?limit=30`),
    ]);
    const status = (statuses.body as Record<string, unknown>)[this.#session] ?? { type: "idle" };
    const fresh = list(messages).filter(({ info }) => String((info as Event)["id"]) > this.#since);
    say("bridge.snapshot", {
      session: this.#session,
      settled,
      taken: this.#taken,
      status,
      permissions: list(permissions),
      questions: list(questions),
      messages: fresh,
    });
  }

  /** A line of the keeper. */
  take(text: string): void {
    this.#queue = this.#queue.then(async () => {
      const command = JSON.parse(text) as Command;
      try {
        await this.#obey(command);
      } catch (error) {
        say("bridge.refused", { do: command.do, id: command.id, status: 0, message: String(error) });
      }
    });
  }

  async #obey(command: Command): Promise<void> {
    const { do: what, id } = command;
    if (what === "abort") {
      await this.#abort();
      return;
    }
    const answer = await this.#send(command);
    if (answer.status >= 400) {
      const { message } = (answer.body ?? {}) as { message?: string };
      say("bridge.refused", { do: what, id, status: answer.status, message: message ?? JSON.stringify(answer.body) });
    } else say("bridge.done", { do: what, id });
  }

  async #send({ do: what, id = "", text, reply, message, answers }: Command): Promise<Answer> {
    const one = encodeURIComponent(id);
    if (what === "prompt") {
      this.#taken += 1;
      const body = { parts: [{ type: "text", text }] };
      return await this.#server.ask("POST", `/session/${this.#session}/prompt_async`, body);
    }
    if (what === "reply") {
      return await this.#server.ask("POST", `/permission/${one}/reply`, { reply, ...(message && { message }) });
    }
    if (what === "answer") return await this.#server.ask("POST", `/question/${one}/reply`, { answers });
    if (what === "reject") return await this.#server.ask("POST", `/question/${one}/reject`);
    throw new Error(`Not known here: ${what}`);
  }

  /**
   * Ends the turn. An aborted subagent only fails its parent's tool call, after which the parent goes on: so all are
   * aborted until none works, and what they asked, which opencode would keep, is refused.
   */
  async #abort(): Promise<void> {
    for (let tries = 0; tries < 20; tries += 1) {
      const statuses = await this.#server.ask("GET", "/session/status");
      const busy = Object.keys(statuses.body as object);
      if (tries > 0 && busy.length === 0) break;
      const sessions = new Set([this.#session, ...busy]);
      await Promise.all([...sessions].map((id) => this.#server.ask("POST", `/session/${id}/abort`)));
      await this.#refuseAll();
      await delay(50);
    }
    await this.#snapshot(true);
  }

  async #refuseAll(): Promise<void> {
    const [permissions, questions] = await Promise.all([
      this.#server.ask("GET", "/permission"),
      this.#server.ask("GET", "/question"),
    ]);
    for (const { id } of list(permissions)) {
      await this.#server.ask("POST", `/permission/${id}/reply`, { reply: "reject" });
    }
    for (const { id } of list(questions)) await this.#server.ask("POST", `/question/${id}/reject`);
  }

  end(): void {
    this.#server.end();
  }
}

async function writeWhole(path: string, lines: string[]): Promise<void> {
  await writeFile(`${path}.new`, `${lines.join("\n")}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function main([file]: string[]): Promise<void> {
  if (file === undefined) throw new Error("Usage: opencode-bridge.js <settings file>");
  say("bridge.started", {});
  const settings = JSON.parse(await readFile(file, "utf8")) as Settings;
  await rm(settings.serverFile, { force: true });
  const bridge = new Bridge(settings);
  let ending = false;
  const end = (): void => {
    ending = true;
    bridge.end();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
  const lines = new LineSplitter();
  process.stdin.on("data", (chunk: Buffer) => {
    for (const one of lines.push(chunk)) bridge.take(one);
  });
  // The keeper is gone, and nobody is left to tell anything to.
  process.stdin.on("end", end);
  try {
    const how = await bridge.run();
    if (!ending) say("bridge.failed", { message: `opencode serve ${how}.` });
    process.exitCode = ending ? 0 : 1;
  } catch (error) {
    say("bridge.failed", { message: error instanceof Error ? error.message : String(error) });
    await writeWhole(settings.serverFile, ["failed"]);
    bridge.end();
    process.exitCode = 1;
  }
  process.stdin.destroy();
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
