import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import { errorText } from "../shared/errors.ts";
import { sessionFolderVariable, sessionVariable } from "../shared/names.ts";
import { startTimeOf } from "../shared/process-tree.ts";
import { JournalFile } from "./journal-file.ts";
import type { KeeperStatus } from "./keeper-client.ts";
import { FileFollower } from "./keeper-files.ts";
import { type Program, type ProgramEnd, startProgram } from "./keeper-program.ts";
import { type Answerer, listen } from "./keeper-socket.ts";
import { FileWatcher } from "./keeper-watch.ts";
import { endProcesses } from "./process-end.ts";
import type { Delivery, Spawn } from "./provider.ts";
import { type KeeperOrder, type SessionFolder, writeKeeperRecord } from "./session-folder.ts";
import { isTimeout, paste, screenText, sendKeys, type TmuxTarget } from "./tmux.ts";

/* What a keeper does while it lives: keeper-main.ts runs it. It knows lines and processes, and no provider. */

/** How long the output of a program that has ended is waited for, in ms. */
const lingerMs = 1000;
/** A program that ends sooner than this has hardly begun, in ms. */
const soonMs = 30_000;
/** How much of its screen is kept then, in characters. */
const mostScreen = 2000;

/** What is typed into the terminal. */
type Typed = Extract<Delivery, { paste: string } | { keys: string[] }>;

/** The window that the keeper itself runs in. */
function ownTerminal(): TmuxTarget | undefined {
  const window = process.env["TMUX_PANE"];
  const [server] = process.env["TMUX"]?.split(",") ?? [];
  return window === undefined || server === undefined ? undefined : { server, window };
}

/** A keeper at work. */
export class Keeper {
  readonly #place: SessionFolder;
  readonly #order: KeeperOrder;
  readonly #log: (text: string) => void;
  readonly #journal: JournalFile;
  readonly #files: FileFollower;
  readonly #watcher: FileWatcher;
  /** What was written, by key. */
  readonly #keys = new Set<string>();
  readonly #programs: Program[] = [];
  /** Hooks that wait, and how each is answered. */
  readonly #waiting = new Map<string, (answer: unknown) => void>();
  #terminalWork: Promise<unknown> = Promise.resolve();
  /** What is being typed, by key. */
  readonly #typing = new Map<string, Promise<void>>();
  #ending: Promise<void> | undefined;
  readonly #begunAt = performance.now();
  #started: () => void = () => undefined;
  readonly #running = new Promise<void>((resolve) => {
    this.#started = resolve;
  });
  #over: () => void = () => undefined;
  readonly #ended = new Promise<void>((resolve) => {
    this.#over = resolve;
  });

  constructor(place: SessionFolder, order: KeeperOrder, log: (text: string) => void) {
    this.#place = place;
    this.#order = order;
    this.#log = log;
    const read = new Map<string, number>();
    this.#journal = JournalFile.open(
      place.journal,
      (known) => {
        if (known.from === "stdin") this.#keys.add(known.key);
        else if (known.file !== undefined && known.end !== undefined) read.set(known.file, known.end);
      },
      (refused) => this.#refused(refused),
    );
    this.#files = new FileFollower(order.plan.follow ?? [], read, (lines) =>
      this.#journal.append(...lines.map((one) => ({ from: "file" as const, ...one }))),
    );
    this.#watcher = new FileWatcher(order.plan.watch ?? [], (path, line) =>
      this.#journal.append({ from: "file", path, line }),
    );
  }

  /** Starts the programs, and comes back when they and all that they started have ended. */
  async run(): Promise<void> {
    await using _ = await listen(this.#order.socket, this.#answer);
    const started = (await startTimeOf(process.pid)) ?? "";
    await writeKeeperRecord(this.#place, { pid: process.pid, started, run: this.#order.run });
    const { backend, terminal } = this.#order.plan;
    try {
      if (backend !== undefined) await this.#start("backend", backend);
      if (terminal !== undefined) await this.#start("terminal", terminal);
    } catch (error) {
      await this.#endAll(undefined);
      await this.#journal.close();
      throw error;
    }
    this.#started();
    await this.#files.start();
    await this.#watcher.start();
    // Without any one of them the session is over.
    const end = await Promise.race(this.#programs.map((one) => one.ended));
    await this.end();
    await this.#finish(end);
  }

  /** Ends the programs and all that they started. */
  async end(graceMs?: number): Promise<void> {
    // One that is just started would outlive it.
    await this.#running;
    this.#ending ??= this.#endAll(graceMs);
    await this.#ending;
  }

  async #endAll(graceMs: number | undefined): Promise<void> {
    // The pid of one that has ended may be another's.
    const roots = this.#programs.filter((one) => !one.hasEnded).map((one) => one.pid);
    try {
      await endProcesses({ folder: this.#place.folder, roots }, graceMs === undefined ? {} : { graceMs });
    } catch (error) {
      this.#log(errorText(error));
    }
  }

  async #finish(end: ProgramEnd): Promise<void> {
    const closed = Promise.all(this.#programs.map((one) => one.closed));
    await Promise.race([closed, delay(lingerMs, undefined, { ref: false })]);
    await this.#watcher.stop();
    await this.#files.stop();
    this.#journal.append({ from: "exited", ...end, ...(await this.#screenOf(end)) });
    const lost = await this.#journal.close();
    if (lost !== undefined) this.#log(`The end of the journal could not be written: ${lost}`);
    this.#over();
  }

  async #screenOf({ code }: ProgramEnd): Promise<{ screen?: string }> {
    const target = ownTerminal();
    const isSoon = performance.now() - this.#begunAt < soonMs;
    if (this.#order.plan.terminal === undefined || target === undefined || code === 0 || !isSoon) return {};
    const screen = await screenText(target).catch(() => "");
    return screen === "" ? {} : { screen: screen.slice(-mostScreen) };
  }

  async #start(part: Program["part"], spawn: Spawn): Promise<void> {
    const program = await startProgram({
      part,
      spawn,
      marks: { [sessionVariable]: this.#order.session, [sessionFolderVariable]: this.#place.folder },
      onLines: (from, lines) => {
        const kept = from === "stdout" ? lines.filter((line) => !this.#isDropped(line)) : lines;
        this.#journal.append(...kept.map((line) => ({ from, line })));
      },
    });
    this.#programs.push(program);
    this.#journal.append({ from: "started", pid: program.pid, argv: program.argv });
  }

  #isDropped(line: string): boolean {
    return this.#order.plan.drop?.some((beginning) => line.startsWith(beginning)) ?? false;
  }

  #refused(why: string | undefined): void {
    this.#log(why === undefined ? "The journal can be written again." : `The journal cannot be written: ${why}`);
    for (const program of this.#programs) program.pause(why !== undefined);
    this.#files.pause(why !== undefined);
  }

  readonly #answer: Answerer = async (request, asker) => {
    if ("hook" in request) return await this.#hook(request, asker.gone);
    if ("status" in request) return { status: this.#status() };
    await this.#running;
    if ("end" in request) {
      const { graceMs } = request["end"] as { graceMs?: number };
      void this.end(graceMs);
      await this.#ended;
      return { done: true };
    }
    if ("signal" in request) {
      this.#main().signal(request["signal"] as NodeJS.Signals);
      return { done: true };
    }
    return await this.#once(request);
  };

  /** What is done once a key. A line is journaled before it is written: whoever is killed in between, it is not done twice. */
  async #once(request: Record<string, unknown>): Promise<{ done?: boolean; stale?: boolean }> {
    const { key } = request;
    if (typeof key !== "string") throw new Error("it has no key");
    if (this.#keys.has(key)) return { done: false };
    if (this.#journal.isRefused) throw new Error("the disk takes nothing more");
    if ("answer" in request) return this.#answerHook(String(request["wait"]), request["answer"], key);
    if ("write" in request) return { done: this.#write(String(request["write"]), key) };
    const before = this.#typing.get(key);
    await (before ?? this.#type(request as Typed, key));
    return { done: before === undefined };
  }

  #write(line: string, key: string): boolean {
    if (line.includes("\n")) throw new Error("a line ends where it ends: there is an LF in it");
    const backend = this.#programs.find((one) => one.part === "backend");
    if (backend === undefined) throw new Error("the session has no program that reads lines");
    if (backend.hasEnded || this.#ending !== undefined) throw new Error("the program has ended");
    if (!backend.reads) throw new Error("the program reads nothing more");
    this.#note(key, line);
    backend.write(line);
    return true;
  }

  /** Types, one after the other: a key between a text and its Enter would be a part of it. */
  async #type(typed: Typed, key: string): Promise<void> {
    const target = ownTerminal();
    if (target === undefined) throw new Error("the session has no terminal");
    const work = (): Promise<void> =>
      "paste" in typed ? this.#paste(target, typed, key) : this.#press(target, typed.keys, key);
    const turn = this.#terminalWork.then(work);
    this.#terminalWork = turn.catch(() => undefined);
    this.#typing.set(key, turn);
    try {
      await turn;
    } finally {
      this.#typing.delete(key);
    }
  }

  /** Noted when it stands in the program and before Enter: until then it is not done, and what failed is tried again. */
  async #paste(
    target: TmuxTarget,
    { paste: text, first = [], pauseMs = 0 }: Extract<Typed, { paste: string }>,
    key: string,
  ): Promise<void> {
    await paste(target, text, { first, pauseMs, beforeEnter: () => this.#note(key, text) });
  }

  /** Noted when they were pressed, or may have been. */
  async #press(target: TmuxTarget, keys: readonly string[], key: string): Promise<void> {
    try {
      await sendKeys(target, keys);
    } catch (error) {
      if (isTimeout(error)) this.#note(key, keys.join(" "));
      throw error;
    }
    this.#note(key, keys.join(" "));
  }

  #note(key: string, line: string): void {
    this.#keys.add(key);
    this.#journal.append({ from: "stdin", key, line });
  }

  async #hook(request: Record<string, unknown>, gone: Promise<void>): Promise<unknown> {
    const { hook, wait } = request;
    if (typeof wait !== "string") {
      this.#journal.append({ from: "hook", data: hook ?? null });
      return {};
    }
    const answered = new Promise((resolve) => this.#waiting.set(wait, resolve));
    const mine = this.#waiting.get(wait);
    this.#journal.append({ from: "hook", data: hook ?? null });
    const answer = await Promise.race([answered, gone.then(() => ({})), this.#ended.then(() => ({}))]);
    if (this.#waiting.get(wait) === mine) this.#waiting.delete(wait);
    return answer;
  }

  #answerHook(wait: string, answer: unknown, key: string): { done?: boolean; stale?: boolean } {
    const give = this.#waiting.get(wait);
    if (give === undefined) return { stale: true };
    this.#waiting.delete(wait);
    this.#note(key, JSON.stringify(answer));
    give(answer);
    return { done: true };
  }

  #status(): KeeperStatus {
    const state = this.#ending !== undefined ? "ending" : this.#isRunning() ? "running" : "starting";
    return {
      pid: process.pid,
      session: this.#order.session,
      run: this.#order.run,
      state,
      programs: this.#programs.map(({ part, pid }) => ({ part, pid })),
      waiting: [...this.#waiting.keys()],
      records: this.#journal.records,
    };
  }

  #isRunning(): boolean {
    const { backend, terminal } = this.#order.plan;
    return this.#programs.length === [backend, terminal].filter((one) => one !== undefined).length;
  }

  /** The one that a person would mean. */
  #main(): Program {
    const main = this.#programs.findLast((one) => !one.hasEnded);
    if (main === undefined) throw new Error("the program has ended");
    return main;
  }

  /** SIGHUP: the window was closed, when we had one; else somebody's terminal, which is not ours. */
  hangUp(): void {
    if (this.#order.plan.terminal !== undefined && !isatty(0)) void this.end();
  }
}
