import { type Format, type FoundError, type LineParser, lineFormat } from "./format.ts";

const row = /^\s+(\d+):\d+\s+error\s+(\S.*?)\s*$/;
const unixRow = /^(\S.*?):(\d+):\d+: (.*) \[Error(?:\/(.*))?\]$/;
const compactRow = /^(\S.*?): line (\d+), col \d+, Error - (.*)$/;

/** ESLint's default output: a file on a line of its own, its rows below it. Warnings do not make it fail. */
export const eslintStylish: Format = {
  name: "eslint stylish",
  start(): LineParser {
    let file: string | undefined;
    return {
      line(text) {
        if (text === "") file = undefined;
        else if (!/^\s/.test(text)) file = text;
        else if (file !== undefined) return stylishRow(file, text);
        return undefined;
      },
      end: () => undefined,
    };
  },
};

function stylishRow(file: string, text: string): FoundError | undefined {
  const [, line, rest] = row.exec(text) ?? [];
  // Message and rule are columns, two blanks or more apart; a parse error has no rule.
  return rest ? { file, line: Number(line), message: rest.replace(/\s{2,}(\S+)$/, " ($1)") } : undefined;
}

/** ESLint's `unix` formatter. */
export const eslintUnix = lineFormat("eslint unix", (text) => {
  const [, file, line, message, rule] = unixRow.exec(text) ?? [];
  return file ? { file, line: Number(line), message: rule ? `${message} (${rule})` : (message ?? "") } : undefined;
});

/** ESLint's `compact` formatter. */
export const eslintCompact = lineFormat("eslint compact", (text) => {
  const [, file, line, message] = compactRow.exec(text) ?? [];
  return file ? { file, line: Number(line), message: message ?? "" } : undefined;
});
