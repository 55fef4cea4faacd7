/* What becomes of a file that two agents changed: read from git's own trial merge, or compared by lines. */

/** How the changes of two agents to one file meet, the worst first. */
export const collisions = [
  "same-lines",
  "both-added",
  "deleted-and-changed",
  "binary",
  "other",
  "other-lines",
] as const;
export type Collision = (typeof collisions)[number];

/** Whether a merge would need somebody's hand. */
export const collides = (collision: Collision): boolean => collision !== "other-lines";

/** The worst of several. */
export const worst = (all: readonly Collision[]): Collision =>
  collisions.find((one) => all.includes(one)) ?? "other-lines";

/** A file that a merge of two commits cannot bring together. */
export interface MergeConflict {
  file: string;
  /** Other names that git gives it or says have to do with it: a file in the place of a folder is put aside under a new one. */
  related: string[];
  collision: Collision;
  /** Git's own words. */
  message: string;
}

/** Reads what `git merge-tree --write-tree -z` printed: the files that it could not merge. */
export function readMergeTree(text: string): MergeConflict[] {
  const parts = text.split("\0");
  const end = parts.indexOf("", 1);
  if (end === -1) return [];
  const stages = new Map<string, Set<string>>();
  for (const part of parts.slice(1, end)) {
    const [, stage, file] = /^\S+ \S+ (\d)\t([\s\S]*)$/.exec(part) ?? [];
    if (stage !== undefined && file !== undefined) stages.set(file, (stages.get(file) ?? new Set()).add(stage));
  }
  const notes = readNotes(parts.slice(end + 1));
  return [...stages].map(([file, found]) => {
    const own = notes.filter((note) => note.files.includes(file));
    const related = [...new Set(own.flatMap((note) => note.files))].filter((other) => other !== file);
    return {
      file,
      related,
      collision: collisionOf(own, found),
      message: own.map((note) => note.text.trim()).join(" "),
    };
  });
}

interface Note {
  files: string[];
  type: string;
  text: string;
}

/** Each note is the number of its paths, the paths, its type, its text. */
function readNotes(parts: readonly string[]): Note[] {
  const notes: Note[] = [];
  for (let at = 0; /^\d+$/.test(parts[at] ?? ""); ) {
    const count = Number(parts[at]);
    const [type = "", text = ""] = parts.slice(at + count + 1);
    if (type.startsWith("CONFLICT")) notes.push({ files: parts.slice(at + 1, at + 1 + count), type, text });
    at += count + 3;
  }
  return notes;
}

function collisionOf(notes: readonly Note[], stages: ReadonlySet<string>): Collision {
  const has = (kind: string): boolean => notes.some((note) => note.type === `CONFLICT (${kind})`);
  if (has("modify/delete") || has("rename/delete")) return "deleted-and-changed";
  // Without a first stage neither has it from the commit that both began at.
  if (has("contents") && !stages.has("1") && stages.size === 2) return "both-added";
  if (has("binary")) return "binary";
  return has("contents") && stages.size === 3 ? "same-lines" : "other";
}

/** A change of some lines: where it begins in the old text, and how many of its lines it replaces. */
interface Hunk {
  start: number;
  count: number;
}

/** Reads the places that `git diff --unified=0` of one file names. */
function readHunks(diff: string): Hunk[] {
  return [...diff.matchAll(/^@@ -(\d+)(?:,(\d+))? \+/gm)].map(([, start, count]) => ({
    start: Number(start),
    count: count === undefined ? 1 : Number(count),
  }));
}

/**
 * Whether two diffs (`--unified=0`, of one old text) touch the same lines, or lines without another between them, which git
 * does not merge either.
 */
export function touchSameLines(one: string, other: string): boolean {
  const others = readHunks(other).map(rangeOf);
  return readHunks(one)
    .map(rangeOf)
    .some(([from, to]) => others.some(([otherFrom, otherTo]) => from <= otherTo && otherFrom <= to));
}

/** The gaps between lines that a hunk covers: line n lies between gap n-1 and gap n. Lines put in have one gap only. */
const rangeOf = ({ start, count }: Hunk): [number, number] =>
  count === 0 ? [start, start] : [start - 1, start - 1 + count];
