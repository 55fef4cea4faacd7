import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/*
 * Follows files that a program appends lines to: each line once, whenever the file comes, and when it is rotated away or
 * emptied. A file is the same one as long as its device and inode are; it is held open, so that no other one gets its inode.
 */

/** A line of a followed file. */
export interface FileLine {
  path: string;
  line: string;
  /** Which file it is, and where in it the line ends. */
  file: string;
  end: number;
}

interface Followed {
  path: string;
  id: string;
  handle: FileHandle;
  /** Where the next line begins. */
  offset: number;
}

const blockBytes = 64 * 1024;
/** A line that is longer comes in pieces. */
const longestBytes = 16 * 1024 * 1024;
/** How often files are looked at when the system told nothing, in ms: with all folders watched, and without. */
const lookMs = { watched: 1000, unwatched: 200 };
/** How long after the system told something they are looked at, in ms: a program writes several lines at once. */
const settleMs = 10;

/** Follows the files that fit some patterns. */
export class FileFollower {
  readonly #patterns: readonly string[];
  readonly #known: ReadonlyMap<string, number>;
  readonly #onLines: (lines: FileLine[]) => void;
  readonly #files = new Map<string, Followed>();
  readonly #watched = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  /** Whether some folder could not be watched. */
  #blind = false;
  #paused = false;
  #stopped = false;

  /** `known` says where an earlier follower was in which file. */
  constructor(patterns: readonly string[], known: ReadonlyMap<string, number>, onLines: (lines: FileLine[]) => void) {
    this.#patterns = patterns;
    this.#known = known;
    this.#onLines = onLines;
  }

  /** Begins; comes back when what is there already was read. */
  async start(): Promise<void> {
    if (this.#patterns.length > 0) await this.#look();
  }

  /** Reads what was appended up to now, with what has no end yet, and ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    for (const watcher of this.#watched.values()) watcher.close();
    await this.#lookOnce();
    for (const one of this.#files.values()) {
      await this.#readRest(one);
      await one.handle.close();
    }
    this.#files.clear();
  }

  /** While nothing can be written down, nothing is read. */
  pause(paused: boolean): void {
    this.#paused = paused;
  }

  #look(): Promise<void> {
    this.#again = true;
    this.#looking ??= (async () => {
      while (this.#again) {
        this.#again = false;
        clearTimeout(this.#timer);
        if (!this.#paused) await this.#lookOnce();
      }
      this.#looking = undefined;
      const wait = this.#blind ? lookMs.unwatched : lookMs.watched;
      if (!this.#stopped) this.#timer = setTimeout(() => void this.#look(), wait);
    })();
    return this.#looking;
  }

  #soon(): void {
    if (this.#stopped || this.#again) return;
    clearTimeout(this.#timer);
    if (this.#looking !== undefined) this.#again = true;
    else this.#timer = setTimeout(() => void this.#look(), settleMs);
  }

  async #lookOnce(): Promise<void> {
    this.#blind = false;
    const there = new Map<string, string>();
    for (const pattern of this.#patterns) {
      for (const path of await this.#expand(pattern)) {
        const found = await stat(path).catch(() => undefined);
        if (found?.isFile()) there.set(`${found.dev}:${found.ino}`, path);
      }
    }
    for (const [id, path] of there) {
      const one = this.#files.get(id) ?? (await this.#open(id, path));
      if (one === undefined) continue;
      one.path = path;
      await this.#read(one);
    }
    for (const [id, one] of this.#files) {
      if (there.has(id)) continue;
      // Rotated away or deleted: what was appended before is read, then it is let go.
      await this.#read(one);
      await this.#readRest(one);
      await one.handle.close();
      this.#files.delete(id);
    }
  }

  async #open(id: string, path: string): Promise<Followed | undefined> {
    const handle = await open(path, "r").catch(() => undefined);
    if (handle === undefined) return undefined;
    const { dev, ino } = await handle.stat();
    if (`${dev}:${ino}` !== id) {
      // Another file has its name by now; the next look finds it.
      await handle.close();
      return undefined;
    }
    const one = { path, id, handle, offset: this.#known.get(id) ?? 0 };
    this.#files.set(id, one);
    return one;
  }

  async #read(one: Followed): Promise<void> {
    const { size } = await one.handle.stat();
    // Emptied, and begun anew.
    if (size < one.offset) one.offset = 0;
    for (let wanted = blockBytes; ; ) {
      const { buffer, bytesRead } = await one.handle.read(Buffer.allocUnsafe(wanted), 0, wanted, one.offset);
      const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
      if (end > 0) this.#tell(one, buffer.subarray(0, end));
      else if (bytesRead >= longestBytes) this.#tell(one, buffer.subarray(0, bytesRead));
      else if (bytesRead === wanted) {
        wanted *= 4;
        continue;
      }
      if (bytesRead < wanted) return;
    }
  }

  /** Up to the end of the file, where the last line has none. */
  async #readRest(one: Followed): Promise<void> {
    const rest = Math.min((await one.handle.stat()).size - one.offset, longestBytes);
    if (rest <= 0) return;
    const { buffer, bytesRead } = await one.handle.read(Buffer.allocUnsafe(rest), 0, rest, one.offset);
    if (bytesRead > 0) this.#tell(one, buffer.subarray(0, bytesRead));
  }

  #tell(one: Followed, text: Buffer): void {
    const lines: FileLine[] = [];
    for (let from = 0; from < text.length; ) {
      const at = text.indexOf(10, from);
      const to = at === -1 ? text.length : at;
      const next = at === -1 ? to : at + 1;
      lines.push({ path: one.path, line: text.toString("utf8", from, to), file: one.id, end: one.offset + next });
      from = next;
    }
    one.offset += text.length;
    this.#onLines(lines);
  }

  /** The paths that a pattern means; `*` stands for anything within a name. */
  async #expand(pattern: string): Promise<string[]> {
    const [first = "", ...parts] = pattern.split("/");
    let found = [first];
    for (const part of parts) {
      if (!part.includes("*")) {
        found = found.map((folder) => `${folder}/${part}`);
        continue;
      }
      const fits = new RegExp(`^${part.split("*").map(literally).join(".*")}$`, "s");
      const below = found.map(async (folder) => {
        this.#watch(folder || "/");
        // Not there yet, or a file where a folder is wanted.
        const names = await readdir(folder || "/").catch((): string[] => []);
        return names.filter((name) => fits.test(name)).map((name) => join(folder || "/", name));
      });
      found = (await Promise.all(below)).flat();
    }
    for (const path of found) this.#watch(dirname(path));
    return found;
  }

  #watch(folder: string): void {
    if (this.#stopped || this.#watched.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon());
      watcher.on("error", () => {
        watcher.close();
        this.#watched.delete(folder);
      });
      this.#watched.set(folder, watcher);
    } catch {
      this.#blind = true;
      // Not there yet, or the system watches enough: the files are looked at now and then.
    }
  }
}

const literally = (text: string): string => text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&");
