import type { Format, FoundError, LineParser } from "./format.ts";

const errorLine = /^error(?:\[(E\d+)\])?: (?!could not compile|aborting due|test failed)(.*)$/;
const arrow = /^\s*--> (\S.*?):(\d+):\d+$/;
const panicLine = /^(?:thread .* )?panicked at (\S.*?):(\d+):\d+:$/;
const oldPanicLine = /^thread .* panicked at '(.*)', (\S.*?):(\d+):\d+$/;

/** cargo and rustc (clippy too): `error[E0308]` with its arrow, and panics of tests. */
export const cargo: Format = {
  name: "cargo",
  start(): LineParser {
    let error: string | undefined;
    let panic: FoundError | undefined;
    return {
      line(text) {
        if (panic !== undefined) {
          // The message, then the two sides of an assertion; the next line is none of these.
          if (panic.message !== "" && !/^ +(?:left|right): /.test(text)) return panic;
          panic.message = `${panic.message} ${text.trim()}`.trim();
          return undefined;
        }
        panic = findPanic(text);
        const [, code, message] = errorLine.exec(text) ?? [];
        if (message !== undefined) error = code ? `${code}: ${message}` : message;
        const [, file, line] = arrow.exec(text) ?? [];
        if (file !== undefined && error !== undefined) return { file, line: Number(line), message: error };
        if (text === "") error = undefined;
        return undefined;
      },
      end: () => panic,
    };
  },
};

function findPanic(text: string): FoundError | undefined {
  const [, said, oldFile, oldLine] = oldPanicLine.exec(text) ?? [];
  if (oldFile) return { file: oldFile, line: Number(oldLine), message: said ?? "panicked" };
  const [, file, line] = panicLine.exec(text) ?? [];
  return file ? { file, line: Number(line), message: "" } : undefined;
}
