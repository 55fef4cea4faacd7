import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/* Watches small files that a program writes anew each time, such as one that says what it is doing. */

/** How often they are looked at when the system told nothing, in ms. */
const lookMs = 500;

/** Watches the files that fit some patterns (`*` in the name of the file only) and tells each text once, as one line. */
export class FileWatcher {
  readonly #patterns: readonly string[];
  readonly #onText: (path: string, line: string) => void;
  readonly #texts = new Map<string, string>();
  readonly #folders = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(patterns: readonly string[], onText: (path: string, line: string) => void) {
    this.#patterns = patterns;
    this.#onText = onText;
  }

  /** Begins; comes back when what is there already was told. */
  async start(): Promise<void> {
    if (this.#patterns.length > 0) await this.#look();
  }

  /** Tells what is there now, and ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    for (const watcher of this.#folders.values()) watcher.close();
    await this.#lookOnce();
  }

  #look(): Promise<void> {
    this.#again = true;
    this.#looking ??= (async () => {
      while (this.#again) {
        this.#again = false;
        clearTimeout(this.#timer);
        await this.#lookOnce();
      }
      this.#looking = undefined;
      if (!this.#stopped) this.#timer = setTimeout(() => void this.#look(), lookMs);
    })();
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    for (const pattern of this.#patterns) {
      const folder = dirname(pattern);
      this.#watch(folder);
      // Not there yet.
      const names = await readdir(folder).catch((): string[] => []);
      for (const name of names) if (fits(name, basename(pattern))) await this.#read(join(folder, name));
    }
  }

  async #read(path: string): Promise<void> {
    // Gone since.
    const text = await readFile(path, "utf8").catch(() => "");
    const line = text.trim().replaceAll(/\r?\n/g, " ");
    // Emptied to be written anew.
    if (line === "" || this.#texts.get(path) === line) return;
    this.#texts.set(path, line);
    this.#onText(path, line);
  }

  #watch(folder: string): void {
    if (this.#stopped || this.#folders.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => void this.#look());
      watcher.on("error", () => {
        watcher.close();
        this.#folders.delete(folder);
      });
      this.#folders.set(folder, watcher);
    } catch {
      // Not there yet, or the system watches enough: it is looked at now and then.
    }
  }
}

function fits(name: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return name === pattern;
  const last = rest.at(-1) ?? "";
  return name.length >= first.length + last.length && name.startsWith(first) && name.endsWith(last);
}
