import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long the folder of temporary files may be for a socket below a folder in it: a socket's path has at most 103 bytes. */
const longest = 40;

/**
 * A new folder in which sockets can be made: below the folder of temporary files, where scripts/take-down.mjs finds what an
 * interrupted test left; where that one is too long, below /tmp.
 */
export const shortFolder = (beginning: string): Promise<string> =>
  mkdtemp(join(tmpdir().length > longest ? "/tmp" : tmpdir(), beginning));
