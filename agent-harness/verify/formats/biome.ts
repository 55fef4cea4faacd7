import type { Format, FoundError, LineParser } from "./format.ts";

// `src/a.ts:12:5 lint/suspicious/noDebugger  FIXABLE  ━━━━`; a format error has no position.
const header = /^(\S.*?)(?::(\d+):\d+)? ([a-z]+(?:\/[A-Za-z/]+)?)(?: +[A-Z ]+)? +━{3,}$/;
const verdict = /^ {2}([×✖!ℹi]) (.*)$/;

/** Biome: a ruled header with file and rule, then a message; only those marked × are errors. */
export const biome: Format = {
  name: "biome",
  start(): LineParser {
    let place: (FoundError & { rule: string }) | undefined;
    return {
      line(text) {
        const [, file, line, rule] = header.exec(text) ?? [];
        if (file && rule) place = { file, line: line ? Number(line) : undefined, rule, message: "" };
        const [, mark, message] = (place && verdict.exec(text)) ?? [];
        if (!mark || !place) return undefined;
        const found = place;
        place = undefined;
        if (mark !== "×" && mark !== "✖") return undefined;
        return { file: found.file, line: found.line, message: `${message} (${found.rule})` };
      },
      end: () => undefined,
    };
  },
};
