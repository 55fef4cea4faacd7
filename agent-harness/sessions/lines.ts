/** A line that is longer comes in pieces of this many bytes: a program that never ends one must not eat the memory. */
const longestLine = 16 * 1024 * 1024;

/** Splits bytes into lines at LF and nowhere else, however they arrive. What is not UTF-8 in them becomes U+FFFD. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #size = 0;
  readonly #longest: number;

  constructor(longest = longestLine) {
    this.#longest = longest;
  }

  /** The lines that these bytes complete. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push(this.#take());
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    if (this.#size >= this.#longest) lines.push(this.#take());
    return lines;
  }

  /** What came after the last LF. */
  end(): string[] {
    return this.#size === 0 ? [] : [this.#take()];
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#size += part.length;
  }

  #take(): string {
    const [only] = this.#parts;
    const whole = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts, this.#size);
    this.#parts = [];
    this.#size = 0;
    return whole.toString("utf8");
  }
}
