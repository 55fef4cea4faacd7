import type { StoredSession } from "../store/index.ts";
import { type Context, wayOf } from "./context.ts";
import { memoryOf, openDraft, saveDraft } from "./draft.ts";
import type { Draft, Memory } from "./memory.ts";

/** The session is somebody else's by now, or gone. */
export class NotOurs extends Error {}

/** A session that this daemon has the lease of, as it was when it was last looked at or changed. */
export class HeldSession {
  readonly #context: Context;
  readonly #id: string;
  #row: StoredSession | undefined;

  constructor(context: Context, id: string) {
    this.#context = context;
    this.#id = id;
  }

  get row(): StoredSession {
    if (this.#row === undefined) throw new NotOurs(this.#id);
    return this.#row;
  }

  get memory(): Memory {
    return memoryOf(this.row);
  }

  /** Looks at it again, because somebody else may have changed it. */
  async reload(): Promise<void> {
    const row = await this.#context.store.sessions.find(this.#id);
    if (row?.leaseOwner !== this.#context.owner) throw new NotOurs(this.#id);
    this.#row = row;
  }

  /**
   * Changes the session in one transaction, from how it is there. `from` is the outcome of the same change on the session as
   * we know it, which spares doing it twice when nobody changed it meanwhile.
   */
  async change<T>(
    work: (draft: Draft, by: ReturnType<typeof wayOf>) => T,
    { from, journalOffset }: { from?: Draft; journalOffset?: number } = {},
  ): Promise<T | undefined> {
    const known = this.row;
    const by = wayOf(this.#context, known);
    const { row, result } = await this.#context.store.transaction(async (tx) => {
      const locked = await tx.sessions.lock(this.#id);
      if (locked?.leaseOwner !== this.#context.owner || locked.journalOffset !== known.journalOffset)
        throw new NotOurs(this.#id);
      const same = from !== undefined && memoryOf(locked).revision === memoryOf(known).revision;
      const draft = same ? from : openDraft(locked);
      const done = same ? undefined : work(draft, by);
      const offset = journalOffset === undefined ? {} : { journalOffset };
      return { row: await saveDraft(tx, this.#context, { row: locked, draft, ...offset }), result: done };
    });
    this.#row = row;
    return result;
  }

  /** Gives the lease back, unless somebody has just changed the session: that is for us, since we still have it. */
  async giveUp(): Promise<boolean> {
    const { revision } = this.memory;
    const { owner, store } = this.#context;
    return await store.transaction(async (tx) => {
      const row = await tx.sessions.lock(this.#id);
      if (row?.leaseOwner !== owner) throw new NotOurs(this.#id);
      if (memoryOf(row).revision !== revision) return false;
      await tx.leases.release(owner, [this.#id]);
      return true;
    });
  }
}
