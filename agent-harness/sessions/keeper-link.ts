import { asHarnessError } from "../shared/errors.ts";
import { connectKeeper, type KeeperClient } from "./keeper-client.ts";

/** A connection to a session's keeper that is made when it is needed, and again after it was lost. */
export class KeeperLink implements AsyncDisposable {
  readonly #socket: string;
  #keeper: KeeperClient | undefined;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Tells the keeper: `late` when the hook waits no more, `refused` when no keeper answers, or it cannot do that now. */
  async tell(say: (keeper: KeeperClient) => Promise<unknown>): Promise<"taken" | "late" | "refused"> {
    try {
      this.#keeper ??= await connectKeeper(this.#socket);
      await say(this.#keeper);
      return "taken";
    } catch (error) {
      const { code } = asHarnessError(error);
      if (code === "PENDING_STALE") return "late";
      if (code !== "KEEPER_GONE" && code !== "KEEPER_FAILED") throw error;
      await this[Symbol.asyncDispose]();
      return "refused";
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = undefined;
    await keeper?.[Symbol.asyncDispose]();
  }
}
