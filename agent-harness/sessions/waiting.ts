/** Something that is waited for, by nobody or by some. */
export class Deferred {
  resolve: () => void = () => undefined;
  reject: (error: unknown) => void = () => undefined;
  readonly promise = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    // That nobody waits for it is no fault.
    this.promise.catch(() => undefined);
  }
}

/** Is rung when there is something to do; one ring while nobody listens is heard by the next who does. */
export class Bell {
  #rung = false;
  #heard: () => void = () => undefined;

  ring(): void {
    this.#rung = true;
    this.#heard();
  }

  /** Rings from before do not count any more: what they were about is looked at now. */
  silence(): void {
    this.#rung = false;
  }

  /** Waits for a ring, so long at most. */
  async listen(limitMs: number): Promise<void> {
    if (this.#rung) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#heard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#heard = () => undefined;
  }
}
