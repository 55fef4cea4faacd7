/** What the line outside is full means for whoever comes next: come back later. */
export class Full extends Error {}

/** A limited number of places, and a limited line of those who wait for one; first come, first served. */
export class Slots {
  private readonly limit: number;
  private readonly maxWaiting: number;
  private taken = 0;
  private readonly line: (() => void)[] = [];

  constructor(limit: number, maxWaiting: number) {
    this.limit = limit;
    this.maxWaiting = maxWaiting;
  }

  get running(): number {
    return this.taken;
  }

  get queued(): number {
    return this.line.length;
  }

  /** Resolves with a place, to be given back by calling what it resolves with. Rejects with Full, or when the signal aborts. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.taken >= this.limit) {
      if (this.line.length >= this.maxWaiting)
        throw new Full(`${this.taken} are running and ${this.line.length} wait.`);
      await this.waitInLine(signal);
    } else {
      this.taken += 1;
    }
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.giveBack();
    };
  }

  private giveBack(): void {
    // The place goes straight to the first in line: `taken` stays what it is.
    const next = this.line.shift();
    if (next === undefined) this.taken -= 1;
    else next();
  }

  private waitInLine(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.line.splice(this.line.indexOf(enter), 1);
        reject(signal.reason);
      };
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      this.line.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
