import { stripVTControlCharacters } from "node:util";

const letters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Letters that a terminal shows two columns wide: East Asian ones and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\p{Emoji}\ufe0f/u;

/** Letters without a place of their own. */
const nothing = /^(?:[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\p{M})+$/u;

/** How many columns of a terminal a text takes; colours take none. */
export function textWidth(text: string): number {
  const plain = stripVTControlCharacters(text);
  // Most texts are plain ASCII, and have to be measured each second.
  if (/^[\x20-\x7e]*$/.test(plain)) return plain.length;
  return [...letters.segment(plain)].reduce((sum, { segment }) => sum + letterWidth(segment), 0);
}

function letterWidth(letter: string): number {
  if (nothing.test(letter)) return 0;
  return wide.test(letter) ? 2 : 1;
}

/** A text as one line without anything that would move the cursor or colour the rest. */
export const onOneLine = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim();

/** A plain text, cut to so many columns; what was cut ends in `…`. */
export function cutTo(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let cut = "";
  let used = 0;
  for (const { segment } of letters.segment(text)) {
    const next = used + letterWidth(segment);
    if (next > width - 1) break;
    cut += segment;
    used = next;
  }
  return width < 1 ? "" : `${cut}…`;
}

/** A text with blanks behind it, or before it, to fill so many columns. */
export function fillTo(text: string, width: number, side: "left" | "right" = "left"): string {
  const blanks = " ".repeat(Math.max(0, width - textWidth(text)));
  return side === "left" ? text + blanks : blanks + text;
}
