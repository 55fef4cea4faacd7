import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { JournalRecord } from "../sessions/journal.ts";
import { FileWatcher } from "../sessions/keeper-watch.ts";
import { prepareFiles } from "../sessions/prepare-files.ts";
import type { Delivery, Provider, ReaderState, StartRequest, Way } from "../sessions/provider.ts";
import type { Answer, Pending, RunWay, SessionMessage, SessionStatus, Update } from "../sessions/session.ts";
import { findMarked, killAll, killTree } from "../shared/process-tree.ts";
import { agentCliEnv } from "./agent-clis.ts";
import { followFiles, listenForLines } from "./provider-trial-lines.ts";
import { type ProgramNews, type RunningProgram, startInTerminal, startPiped } from "./provider-trial-programs.ts";
import { shortFolder } from "./short-folder.ts";
import { until } from "./until.ts";

/*
 * Tries a provider with its real program, without keeper, daemon and store: starts what plan() says, journals every line in
 * memory, gives each record to read() and does what comes back. What works here is what the provider itself is answerable for.
 */

export interface TrialOptions extends Partial<Omit<StartRequest, "runIn" | "folder" | "socket">> {
  runIn: RunWay;
  /** Variables besides those of agentCliEnv. */
  env?: Record<string, string>;
  /** Prepares the home or the working directory before the program starts. */
  prepare?(places: { home: string; cwd: string; folder: string }): Promise<void>;
}

export interface Trial extends AsyncDisposable {
  home: string;
  cwd: string;
  folder: string;
  records: JournalRecord[];
  updates: Update[];
  /** What it is doing, as far as this run of the program told. */
  status(): SessionStatus | undefined;
  /** What it asks and nobody has answered. */
  pending(): Pending[];
  messages(role?: SessionMessage["role"]): SessionMessage[];
  /** Waits; on failure says what was told last and what the terminal shows. */
  until<T>(what: string, ask: () => T | undefined | false, limitMs?: number): Promise<T>;
  untilStatus(...wanted: SessionStatus[]): Promise<SessionStatus>;
  untilPending(): Promise<Pending>;
  input(text: string): Promise<void>;
  respond(answer: Answer, pending?: Pending): Promise<void>;
  interrupt(): Promise<void>;
  /** Presses keys in the terminal, as a person there would. */
  press(...keys: string[]): Promise<void>;
  /** Ends the program and all below it, and starts it again with the provider's own id of the session. */
  resume(task?: string): Promise<void>;
  /** Ends the program and all below it. */
  end(): Promise<void>;
  screen(): Promise<string>;
  /** The journal as text, with this run's folders replaced, so that it can be kept as a fixture. */
  journal(): string;
}

const mark = "HARNESS_TRIAL";

/** Opens a trial of a provider. Disposing of it ends every process that it started, however deep. */
export async function openTrial(provider: Provider, options: TrialOptions): Promise<Trial> {
  const base = await shortFolder("ah-trial-");
  const places = { home: join(base, "home"), cwd: join(base, "work"), folder: join(base, "s") };
  for (const path of Object.values(places)) await mkdir(path, { mode: 0o700 });
  await options.prepare?.(places);
  const trial = new ProviderTrial(provider, base, places, options);
  try {
    await trial.start(options.task, options.resume);
  } catch (error) {
    await trial[Symbol.asyncDispose]();
    throw error;
  }
  return trial;
}

class ProviderTrial implements Trial {
  records: JournalRecord[] = [];
  updates: Update[] = [];
  readonly home: string;
  readonly cwd: string;
  readonly folder: string;
  readonly #base: string;
  readonly #way: Way;
  readonly #options: TrialOptions;
  #state: ReaderState = {};
  #backend: RunningProgram | undefined;
  #terminal: RunningProgram | undefined;
  #open: AsyncDisposable[] = [];
  #waiting = new Map<string, (line: string) => void>();
  /** How far each followed file was read, also of a program that has ended. */
  #read = new Map<string, number>();
  /** How many updates there were when the program was started. */
  #before = 0;

  constructor(provider: Provider, base: string, places: Pick<Trial, "home" | "cwd" | "folder">, options: TrialOptions) {
    this.home = places.home;
    this.cwd = places.cwd;
    this.folder = places.folder;
    this.#base = base;
    this.#way = provider.ways[options.runIn];
    this.#options = options;
  }

  async start(task: string | undefined, resume: string | undefined): Promise<void> {
    const { prepare: _, task: __, resume: ___, env = {}, ...rest } = this.#options;
    const socket = join(this.folder, "k.sock");
    const { keeper, files, state } = this.#way.plan({
      id: "trial-brave-otter",
      permissions: "ask",
      settings: { extraArgs: [] },
      ...rest,
      cwd: this.cwd,
      folder: this.folder,
      socket,
      // What a killed program leaves there goes with the trial.
      env: { ...agentCliEnv(this.home), TMPDIR: this.folder, ...env, [mark]: this.#base },
      ...(task === undefined ? {} : { task }),
      ...(resume === undefined ? {} : { resume }),
    });
    this.#state = state;
    this.#before = this.updates.length;
    await prepareFiles(files);
    this.#open.push(await listenForLines(socket, (line, from) => this.#hook(line, (text) => from.end(`${text}\n`))));
    const followed = (path: string, line: string): void => this.#journal({ from: "file", path, line });
    this.#open.push(followFiles(keeper.follow ?? [], this.#read, followed));
    const watcher = new FileWatcher(keeper.watch ?? [], followed);
    await watcher.start();
    this.#open.push({ [Symbol.asyncDispose]: () => watcher.stop() });
    // The program whose end is the session's end tells of its start and its end.
    if (keeper.backend) this.#backend = await startPiped(keeper.backend, this.#news(keeper.terminal === undefined));
    if (keeper.terminal)
      this.#terminal = await startInTerminal(keeper.terminal, join(this.folder, "tmux"), this.#news(true));
  }

  #news(whole: boolean): ProgramNews {
    return {
      started: (pid, argv) => whole && this.#journal({ from: "started", pid, argv }),
      stdout: (line) => this.#journal({ from: "stdout", line }),
      stderr: (line) => this.#journal({ from: "stderr", line }),
      exited: (code, signal) => whole && this.#journal({ from: "exited", code, signal }),
    };
  }

  #hook(line: string, answer: (text: string) => void): void {
    const { hook, wait } = JSON.parse(line) as { hook: unknown; wait?: string };
    if (wait === undefined) answer("{}");
    else this.#waiting.set(wait, answer);
    this.#journal({ from: "hook", data: hook });
  }

  #journal(
    told: {
      [From in JournalRecord["from"]]: Omit<Extract<JournalRecord, { from: From }>, "n" | "at">;
    }[JournalRecord["from"]],
  ): void {
    const record = { n: this.records.length + 1, at: Date.now(), ...told } as JournalRecord;
    this.records.push(record);
    const { state, updates, writes = [] } = this.#way.read(this.#state, record);
    // What the store would keep: nothing but JSON survives.
    this.#state = JSON.parse(JSON.stringify(state)) as ReaderState;
    this.updates.push(...updates);
    for (const [index, line] of writes.entries()) this.#write(line, `${record.n}:${index}`);
  }

  #write(line: string, key: string): void {
    this.#backend?.write(line);
    this.#journal({ from: "stdin", key, line });
  }

  async #deliver(given: { state: ReaderState; delivery: Delivery } | undefined, what: string): Promise<void> {
    if (given === undefined) throw new Error(`The provider cannot ${what}.`);
    this.#state = given.state;
    const { delivery } = given;
    const key = `${what}:${this.records.length}`;
    if ("lines" in delivery) for (const line of delivery.lines) this.#write(line, key);
    else if ("answer" in delivery) this.#answer(delivery.wait, JSON.stringify(delivery.answer), key);
    else if ("paste" in delivery) {
      this.#journal({ from: "stdin", key, line: delivery.paste });
      if (delivery.pauseMs !== undefined) await delay(delivery.pauseMs);
      if (delivery.first !== undefined) await this.#terminal?.keys(delivery.first);
      await this.#terminal?.paste(delivery.paste);
    } else {
      this.#journal({ from: "stdin", key, line: delivery.keys.join(" ") });
      await this.#terminal?.keys(delivery.keys);
    }
  }

  #answer(wait: string, answer: string, key: string): void {
    const give = this.#waiting.get(wait);
    if (give === undefined) throw new Error(`No hook waits for ${wait}.`);
    this.#waiting.delete(wait);
    this.#journal({ from: "stdin", key, line: answer });
    give(answer);
  }

  status(): SessionStatus | undefined {
    return this.updates
      .slice(this.#before)
      .reduce<SessionStatus | undefined>(
        (status, one) => (one.type === "status" ? one.status : one.type === "pending" ? "waiting_input" : status),
        undefined,
      );
  }

  pending(): Pending[] {
    const open = new Map<string, Pending>();
    for (const one of this.updates) {
      if (one.type === "pending") open.set(one.pending.id, one.pending);
      if (one.type === "resolved") open.delete(one.pendingId);
    }
    return [...open.values()];
  }

  messages(role?: SessionMessage["role"]): SessionMessage[] {
    const all = this.updates.flatMap((one) => (one.type === "message" ? [one.message] : []));
    return all.filter((message) => role === undefined || message.role === role);
  }

  async until<T>(what: string, ask: () => T | undefined | false, limitMs = 30_000): Promise<T> {
    try {
      return await until(what, ask, limitMs);
    } catch (cause) {
      const told = this.records.slice(-12).map((record) => JSON.stringify(record).slice(0, 600));
      const updates = this.updates.slice(-12).map((one) => JSON.stringify(one).slice(0, 300));
      const text = [
        `${(cause as Error).message}; told last:`,
        ...told,
        "updates:",
        ...updates,
        "screen:",
        await this.screen(),
      ];
      throw new Error(text.join("\n"), { cause });
    }
  }

  async untilStatus(...wanted: SessionStatus[]): Promise<SessionStatus> {
    return await this.until(`status ${wanted.join(" or ")}`, () => {
      const status = this.status();
      return status !== undefined && wanted.includes(status) && status;
    });
  }

  async untilPending(): Promise<Pending> {
    return await this.until("something pending", () => this.pending()[0]);
  }

  async input(text: string): Promise<void> {
    await this.#deliver(this.#way.input(this.#state, text), "take input");
  }

  async respond(answer: Answer, pending = this.pending()[0]): Promise<void> {
    if (pending === undefined) throw new Error("Nothing is pending.");
    await this.#deliver(this.#way.respond(this.#state, pending, answer), "be answered");
  }

  async interrupt(): Promise<void> {
    await this.#deliver(this.#way.interrupt(this.#state), "be interrupted");
  }

  async press(...keys: string[]): Promise<void> {
    if (this.#terminal === undefined) throw new Error("There is no terminal.");
    await this.#terminal.keys(keys);
  }

  async resume(task?: string): Promise<void> {
    const session = this.updates.findLast((one) => one.type === "provider_session");
    if (session?.type !== "provider_session") throw new Error("The provider never told its id of the session.");
    await this.end();
    await this.start(task, session.id);
  }

  async end(): Promise<void> {
    const running = [this.#terminal, this.#backend].filter((one) => one !== undefined);
    for (const one of running) await killTree(one.pid);
    await killAll(await findMarked(mark, this.#base));
    for (const one of running) await one.close();
    await Promise.all(running.map((one) => one.ended));
    for (const one of this.#open.reverse()) await one[Symbol.asyncDispose]();
    this.#open = [];
    this.#backend = undefined;
    this.#terminal = undefined;
  }

  async screen(): Promise<string> {
    return (await this.#terminal?.screen().catch((error: unknown) => String(error))) ?? "";
  }

  journal(): string {
    const text = this.records.map((record) => `${JSON.stringify(record)}\n`).join("");
    return text.replaceAll(this.#base, "/home/agent").replaceAll(this.#base.replaceAll("/", "-"), "-home-agent");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await rm(this.#base, { recursive: true, force: true });
  }
}
