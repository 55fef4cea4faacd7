import { asHarnessError } from "../shared/errors.ts";
import { connectKeeper, type KeeperClient } from "./keeper-client.ts";

/** A connection to a session's keeper that is made when it is needed, and again after it was lost. */
export class KeeperLink implements AsyncDisposable {
  readonly #socket: string;
  #keeper: KeeperClient | undefined;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Asks the keeper; false when there is none that answers, or it cannot do that now. */
  async ask(question: (keeper: KeeperClient) => Promise<unknown>): Promise<boolean> {
    try {
      this.#keeper ??= await connectKeeper(this.#socket);
      await question(this.#keeper);
      return true;
    } catch (error) {
      const { code } = asHarnessError(error);
      if (code !== "KEEPER_GONE" && code !== "KEEPER_FAILED") throw error;
      await this[Symbol.asyncDispose]();
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = undefined;
    await keeper?.[Symbol.asyncDispose]();
  }
}
