import { HarnessError } from "../shared/errors.ts";
import { decide, noteLate } from "./commands.ts";
import { type Context, placeOf } from "./context.ts";
import type { HeldSession } from "./held-session.ts";
import { KeeperLink } from "./keeper-link.ts";
import { noteRefusal } from "./losses.ts";
import type { Draft } from "./memory.ts";
import { findKeeper } from "./session-folder.ts";

/** For how long something is given again that a living keeper does not take, in ms. */
const refusalMs = 20_000;

/** What a session is to be told, on its way to its keeper: commands, and lines that its program needs to go on. */
export class Outbox implements AsyncDisposable {
  readonly #context: Context;
  readonly #id: string;
  readonly #held: HeldSession;
  readonly #keeper: KeeperLink;
  /** The key of the command that was given last; what came of it is in the journal. */
  #given: string | undefined;
  /** Since when a living keeper takes nothing. */
  #refusedSince: number | undefined;

  constructor(context: Context, id: string, held: HeldSession) {
    this.#context = context;
    this.#id = id;
    this.#held = held;
    this.#keeper = new KeeperLink(placeOf(context, id).socket);
  }

  /** Whether there is a command that can be given now. */
  get hasCommand(): boolean {
    const { sending, commands } = this.#held.memory;
    if (sending !== undefined && sending.key !== this.#given) return true;
    const [first] = commands;
    return first !== undefined && !(this.#held.row.status === "starting" && first.kind === "input");
  }

  /** Gives the next command; false when the keeper did not take it, and it stays owed. */
  async giveCommand(): Promise<boolean> {
    const sending = await this.#held.change((draft, { way }) => {
      if (draft.memory.sending?.key === this.#given) delete draft.memory.sending;
      return decide(draft, way);
    });
    if (sending === undefined) return true;
    const outcome = await this.#keeper.tell((keeper) => keeper.deliver(sending.delivery, sending.key));
    if (outcome === "refused" && !this.#isRefusedForLong()) return false;
    this.#refusedSince = undefined;
    if (outcome === "taken") this.#given = sending.key;
    else if (outcome === "late") await this.#held.change((draft, { way }) => noteLate(draft, way));
    else await this.#held.change((draft) => noteRefusal(draft, Date.now()));
    return true;
  }

  /**
   * Gives a line, under its key once. False when a living keeper takes none for too long; until then it throws, so that what
   * made the line necessary is worked in again.
   */
  async write({ key, line }: Draft["writes"][number]): Promise<boolean> {
    const outcome = await this.#keeper.tell((keeper) => keeper.write(line, key));
    // A program that has ended needs no next step.
    if (outcome === "taken" || (await findKeeper(placeOf(this.#context, this.#id))) === undefined) {
      this.#refusedSince = undefined;
      return true;
    }
    if (this.#isRefusedForLong()) return false;
    throw new HarnessError("KEEPER_FAILED", `The keeper of ${this.#id} took no line; it is given again.`, {
      hint: "Look at keeper.log in the session's folder.",
    });
  }

  #isRefusedForLong(): boolean {
    this.#refusedSince ??= performance.now();
    return performance.now() - this.#refusedSince > refusalMs;
  }

  /** The program is started: the keeper of the run before, and what it refused, is of no interest. */
  async startAnew(): Promise<void> {
    this.#refusedSince = undefined;
    await this.#keeper[Symbol.asyncDispose]();
  }

  /** Lets the connection to the keeper go; the next word makes another one. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper[Symbol.asyncDispose]();
  }

  /** The session is looked at anew: what was given shows in the journal, or is given again. */
  forget(): void {
    this.#given = undefined;
  }
}
