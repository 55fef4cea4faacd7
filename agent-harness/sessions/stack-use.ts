import { noteRest, noteWork } from "../stacks/index.ts";
import type { StoredSession } from "../store/index.ts";
import { type Context, placeOf } from "./context.ts";
import { isTerminal, type SessionStatus } from "./session.ts";
import { findKeeper } from "./session-folder.ts";

/** How often the stack of a session that works is marked as used, in ms. */
const everyMs = 20_000;

/**
 * Says on a session's stack whether the session works there: a stack that is worked on is neither stopped for want of use nor
 * torn down without force. It counts for as long as the session's keeper lives, also while no daemon does.
 */
export class StackUse {
  readonly #context: Context;
  readonly #id: string;
  #said = "";
  #saidAt = 0;

  constructor(context: Context, id: string) {
    this.#context = context;
    this.#id = id;
  }

  /** Says it when it is news, or was said a while ago. */
  async say({ stack, status }: Pick<StoredSession, "stack" | "status">): Promise<void> {
    const { paths } = this.#context;
    const keeper = stack === undefined ? undefined : await findKeeper(placeOf(this.#context, this.#id));
    if (stack === undefined || keeper === undefined) return;
    const { pid, started } = keeper;
    const works = !isTerminal(status as SessionStatus);
    const news = `${pid} ${works}`;
    const now = Date.now();
    if (news === this.#said && (!works || now - this.#saidAt < everyMs)) return;
    if (works) await noteWork(paths, stack, { pid, started, who: `The session ${this.#id}` });
    else await noteRest(paths, stack, pid);
    this.#said = news;
    this.#saidAt = now;
  }
}
