/** The candidate that a mistyped word most likely means, or undefined where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = plain(word) === plain(candidate) ? 0 : editDistance(plain(word), plain(candidate));
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  // A third of the letters wrong is still a slip; more is another word.
  return best !== undefined && best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

/** "; did you mean `x`?" for the nearest candidate, else the whole list, for the end of a message. */
export function suggest(word: string, candidates: Iterable<string>, what = "allowed"): string {
  const all = [...candidates];
  const near = nearest(word, all);
  if (near !== undefined) return `; did you mean \`${near}\`?`;
  return all.length === 0 ? "" : `; ${what}: ${all.map((candidate) => `\`${candidate}\``).join(", ")}`;
}

/** `depends_on`, `depends-on` and `dependsOn` are one word written by three habits. */
const plain = (word: string): string => word.toLowerCase().replaceAll(/[-_.]/g, "");

/** How many letters must be put in, taken out, replaced or swapped with their neighbour. */
function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let least = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) least = Math.min(least, (before[column - 2] ?? 0) + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return above[to.length] ?? from.length;
}
