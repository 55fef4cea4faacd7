import { existsSync, realpathSync } from "node:fs";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { listFiles } from "../shared/globs.ts";
import { isWithin } from "../shared/paths.ts";
import type { FirstError } from "./first-error.ts";

const maxMessage = 500;

/** Where a command ran. */
export interface CommandPlace {
  workdir: string;
  cwd: string;
}

/** `file:line message` on one line, the file relative to the working directory wherever it can be found there. */
export async function describeError(error: FirstError, place: CommandPlace): Promise<string> {
  const message = shorten(error.message);
  if (error.file === undefined) return message;
  const file = await findFile(error.file, error, place);
  return error.line === undefined ? `${file} ${message}` : `${file}:${error.line} ${message}`;
}

/** A text on one line, cut where nobody reads on. */
export function shorten(text: string, max: number = maxMessage): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

async function findFile(printed: string, error: FirstError, place: CommandPlace): Promise<string> {
  const file = printed.startsWith("file://") ? fileURLToPath(printed) : printed;
  const workdir = realpathSync(place.workdir);
  if (isAbsolute(file)) return within(workdir, file) ?? within(place.workdir, file) ?? file;
  for (const folder of [place.cwd, ...error.folders.map((one) => resolve(place.cwd, one)), place.workdir]) {
    const found = existsSync(join(folder, file)) ? within(workdir, realpathSync(join(folder, file))) : undefined;
    if (found !== undefined) return found;
  }
  return (await findByEnd(place.workdir, file, error.folder)) ?? file;
}

function within(workdir: string, file: string): string | undefined {
  return isWithin(workdir, file) ? relative(workdir, file).split(sep).join("/") : undefined;
}

/** The only file of the project whose path ends so: the tool ran in a folder that nobody told us. */
async function findByEnd(workdir: string, file: string, folder: string | undefined): Promise<string | undefined> {
  const end = file.replace(/^\.\//, "");
  const found = await listFiles(workdir, [`**/${end.replaceAll(/[*?{}\\]/g, "\\$&")}`]);
  if (found.length <= 1) return found[0];
  // A Go package is the module's name and the folder: the file whose folder shares most of its end is meant.
  const parts = folder?.split("/") ?? [];
  for (let from = 0; from < parts.length; from++) {
    const wanted = `${parts.slice(from).join("/")}/${end}`;
    const match = found.find((path) => path === wanted || path.endsWith(`/${wanted}`));
    if (match !== undefined) return match;
  }
  return undefined;
}
