import { setTimeout as delay } from "node:timers/promises";
import { asHarnessError } from "../shared/errors.ts";
import { isResumable } from "./commands.ts";
import { type Context, placeOf, wayOf } from "./context.ts";
import { finishDeletion } from "./delete.ts";
import { openDraft } from "./draft.ts";
import { endTurnProcesses } from "./end-turn.ts";
import { HeldSession, NotOurs } from "./held-session.ts";
import { JournalPump } from "./journal-pump.ts";
import type { ReadRecord } from "./journal-reader.ts";
import { launch, noteVainStart } from "./launch.ts";
import { hasLeftovers, noteDeaf, noteFailedLaunch, noteLoss, noteOwedInput } from "./losses.ts";
import type { Draft } from "./memory.ts";
import { Outbox } from "./outbox.ts";
import { endSession } from "./process-end.ts";
import { readRecord } from "./reading.ts";
import { findKeeper } from "./session-folder.ts";
import { StackUse } from "./stack-use.ts";
import { finalize } from "./transitions.ts";
import { Bell, Deferred } from "./waiting.ts";
import { findOverdue, isQuiet, judge, SleepWatch } from "./watchdogs.ts";

/*
 * Looks after one session, for as long as this daemon has its lease: what the journal says goes into the store, what the
 * session is to be told goes to its keeper. Everything that was decided is stored before it is done, and everything that is
 * done can be done again; so it may be killed anywhere, and the next one goes on from the store and the journal.
 */

/** How often is looked when nothing happens, in ms. */
const lookMs = 1000;
/** How many records go into one transaction. */
const batchSize = 256;
const backoffMs = { first: 200, most: 5000 };

/** One session's supervisor. It begins at once. */
export class Supervisor {
  readonly id: string;
  /** Settles when it has nothing to do any more: the session has ended, is gone, is somebody else's, or `stop` was called. */
  readonly done: Promise<void>;
  /**
   * Settles when the program was started for the first time under this supervisor; rejects when it could not be, or not at once:
   * with STORE_UNAVAILABLE it is still owed.
   */
  get launched(): Promise<void> {
    return this.#launched.promise;
  }
  /** Settles when the session, marked for it, is gone; rejects when something of it is left, which is tried again. */
  get deleted(): Promise<void> {
    return this.#deleted.promise;
  }
  readonly #context: Context;
  readonly #stop = new AbortController();
  readonly #launched = new Deferred();
  #deleted = new Deferred();
  readonly #held: HeldSession;
  #stale = true;
  #pump: JournalPump | undefined;
  readonly #outbox: Outbox;
  readonly #bell = new Bell();
  readonly #stackUse: StackUse;
  readonly #sleep = new SleepWatch();

  constructor(context: Context, id: string) {
    this.#context = context;
    this.id = id;
    this.#held = new HeldSession(context, id);
    this.#outbox = new Outbox(context, id, this.#held);
    this.#stackUse = new StackUse(context, id);
    this.#stop.signal.addEventListener("abort", () => this.#bell.ring());
    this.done = this.#run();
  }

  /** The session was changed by somebody else: look at it again. */
  wake(): void {
    this.#stale = true;
    this.#bell.ring();
  }

  /** Leaves the session as it is; its program goes on. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.done;
  }

  async #run(): Promise<void> {
    let wait = backoffMs.first;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#open();
        wait = backoffMs.first;
        while (!this.#stop.signal.aborted && (await this.#step()));
        break;
      } catch (error) {
        if (error instanceof NotOurs) break;
        // Whatever it was, nothing is lost: the store says how far we came, and the journal has the rest. Who waits is told.
        this.#context.report(error, this.id);
        this.#launched.reject(error);
        this.#refuseDeletion(error);
        await delay(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        wait = Math.min(wait * 2, backoffMs.most);
      } finally {
        await this.#close();
      }
    }
    const over = new NotOurs(`${this.id} is not looked after by this daemon any more.`);
    this.#launched.reject(over);
    this.#deleted.reject(over);
  }

  /** It is tried again, and who asks for it again waits for that. */
  #refuseDeletion(error: unknown): void {
    const { reject } = this.#deleted;
    this.#deleted = new Deferred();
    reject(error);
  }

  async #open(): Promise<void> {
    this.#outbox.forget();
    this.#stale = false;
    await this.#held.reload();
    // What it says any more is of no interest, and may be what cannot be worked in.
    if (this.#held.memory.deleting !== true) await this.#readOn();
  }

  async #close(): Promise<void> {
    await this.#pump?.close();
    this.#pump = undefined;
    await this.#outbox[Symbol.asyncDispose]();
  }

  /** Works in all that the journal has now, then follows it from there. */
  async #readOn(): Promise<void> {
    await this.#pump?.close();
    const place = placeOf(this.#context, this.id);
    for await (const batch of JournalPump.rest(place.journal, this.#held.row.journalOffset, batchSize))
      await this.#work(batch);
    this.#pump = new JournalPump(place.journal, this.#held.row.journalOffset, () => this.#bell.ring());
  }

  /** Does the next thing that is to be done, or waits; false when nothing will be any more. */
  async #step(): Promise<boolean> {
    this.#bell.silence();
    if (this.#stale) {
      this.#stale = false;
      await this.#held.reload();
    }
    const { deleting, sweepFrom } = this.#held.memory;
    if (deleting === true) return await this.#delete();
    if (sweepFrom !== undefined) {
      await this.#sweep(sweepFrom);
      return true;
    }
    const batch = this.#pump?.take(batchSize) ?? [];
    if (batch.length > 0) {
      await this.#work(batch);
      return true;
    }
    const { row, memory } = this.#held;
    if (memory.ending !== undefined && row.status !== "exited") return await this.#end();
    if (memory.launching !== undefined) return await this.#launch();
    if (row.status === "exited" && hasLeftovers({ memory })) {
      await this.#held.change((draft, { provider }) => noteOwedInput(draft, provider, Date.now()));
      return true;
    }
    if (this.#outbox.hasCommand) return await this.#deliver();
    if (await this.#watch()) return true;
    if (await this.#isOver()) return false;
    await this.#wait();
    return true;
  }

  /** Records become events, messages, the row and the offset in one transaction; what they make necessary is given before. */
  async #work(batch: readonly ReadRecord[]): Promise<void> {
    const [last] = batch.slice(-1);
    if (last === undefined) return;
    const { way } = wayOf(this.#context, this.#held.row);
    const fold = (draft: Draft): void => {
      const { interruptBy, turnAt } = draft.memory;
      for (const { record } of batch) readRecord(draft, way, record);
      if (this.#held.row.runIn === "headless" || draft.status === "exited") finalize(draft, last.record.at);
      // Owed from the same commit on: whoever is killed now, the next one does it.
      if (interruptBy !== undefined && draft.memory.interruptBy === undefined) draft.memory.sweepFrom = turnAt;
    };
    const first = openDraft(this.#held.row);
    fold(first);
    let deaf = false;
    for (const write of first.writes) deaf ||= !(await this.#outbox.write(write));
    if (deaf) noteDeaf(first);
    const again = (draft: Draft): void => {
      fold(draft);
      if (deaf) noteDeaf(draft);
    };
    await this.#held.change(again, { from: first, journalOffset: last.offsetAfter });
    await this.#stackUse.say(this.#held.row);
  }

  /** Ends what an interrupted turn has left running. */
  async #sweep(from: number): Promise<void> {
    const { turnAt } = this.#held.memory;
    await endTurnProcesses(placeOf(this.#context, this.id), from, turnAt > from ? turnAt : undefined);
    await this.#held.change((draft) => void delete draft.memory.sweepFrom);
  }

  async #deliver(): Promise<boolean> {
    if (await this.#outbox.giveCommand()) return true;
    // It stays owed. Whether there is a keeper still, and whether it has had long enough, is looked at before the next try.
    if (!(await this.#watch())) await this.#wait();
    return true;
  }

  async #launch(): Promise<boolean> {
    const { launching } = this.#held.memory;
    await this.#outbox.startAnew();
    const runs = await this.#start();
    if (runs === undefined) return true;
    this.#launched.resolve();
    await this.#readOn();
    if (this.#held.memory.launching?.run !== launching?.run) return true;
    // The journal does not say yet that it was started; or it never came to that.
    if (runs) await this.#wait();
    else await this.#held.change(noteVainStart);
    return true;
  }

  /** Whether the program came to run; undefined when it cannot be started. */
  async #start(): Promise<boolean | undefined> {
    try {
      return await launch(this.#context, this.#held.row, async (work) => void (await this.#held.change(work)));
    } catch (error) {
      const { code, message } = asHarnessError(error);
      if (error instanceof NotOurs || code === "STORE_UNAVAILABLE") throw error;
      await this.#held.reload();
      // A keeper that was only slow would work for nobody.
      await this.#endAll();
      await this.#held.change((draft) => noteFailedLaunch(draft, message, Date.now()));
      this.#launched.reject(error);
      return;
    }
  }

  async #endAll(): Promise<void> {
    const { graceMs } = this.#context.settings.limits;
    await endSession(placeOf(this.#context, this.id), { graceMs });
  }

  async #end(): Promise<boolean> {
    // Who has it by now may have started another program.
    await this.#held.reload();
    await this.#endAll();
    await this.#missing();
    return true;
  }

  async #delete(): Promise<boolean> {
    await this.#close();
    await finishDeletion(this.#context, this.id);
    this.#deleted.resolve();
    return false;
  }

  /** The keeper may be gone: what it wrote last is read, and when that was not the end, the session has lost its program. */
  async #missing(): Promise<void> {
    const place = placeOf(this.#context, this.id);
    if ((await findKeeper(place)) !== undefined) return await this.#wait();
    await this.#readOn();
    const { status } = this.#held.row;
    if (status === "exited" || this.#held.memory.launching !== undefined) return;
    // What the program left behind would work beside the one that goes on.
    await this.#held.reload();
    await this.#endAll();
    await this.#held.change((draft, { provider }) => noteLoss(draft, provider, Date.now()));
  }

  /** Looks for what has been going on for too long; true when something was done about it. */
  async #watch(): Promise<boolean> {
    const { row, memory } = this.#held;
    const { limits } = this.#context.settings;
    const now = Date.now();
    await this.#stackUse.say(row);
    if (isQuiet(memory, limits.quietMs, now)) {
      await this.#held.change((draft) => finalize(draft, now));
      return true;
    }
    const { provider } = wayOf(this.#context, row);
    const draft = openDraft(row);
    const lives = (await findKeeper(placeOf(this.#context, this.id))) !== undefined;
    const resumable = isResumable(draft, provider);
    const overdue = findOverdue(draft, limits, { now, awakeSince: this.#sleep.awakeSince(now), resumable, lives });
    if (overdue !== undefined) {
      await this.#held.change((found) => judge(found, overdue, now));
      return true;
    }
    if (row.status === "exited" || lives) return false;
    await this.#missing();
    return true;
  }

  async #isOver(): Promise<boolean> {
    const { status } = this.#held.row;
    const { finalizing, ending } = this.#held.memory;
    if (status !== "exited" || finalizing !== undefined) return false;
    if ((await findKeeper(placeOf(this.#context, this.id))) !== undefined) {
      if (ending !== undefined) await this.#end();
      return false;
    }
    const given = await this.#held.giveUp();
    if (!given) this.wake();
    return given;
  }

  async #wait(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { finalizing } = this.#held.memory;
    const { quietMs } = this.#context.settings.limits;
    await this.#bell.listen(finalizing === undefined ? lookMs : Math.min(lookMs, quietMs + 10));
  }
}
