import { type Format, type FoundError, isForeignFrame, type LineParser } from "./format.ts";

const section = /^(?:_{3,} .* _{3,}|={3,} .* ={3,})$/;
const errorLine = /^E {2,}(\S.*)$/;
const syntaxPlace = /^E\s+File "(.+)", line (\d+)$/;
// `tests/a.py:5: AssertionError`, `tests/a.py:8: in test_deep`, and `tests/a.py:8: ` above an inner call.
const place = /^(\S[^:]*\.py):(\d+):(?: (.*))?$/;
const summary = /^(?:FAILED|ERROR) (\S+?\.py)(?:::\S*.*?)?(?: - (.*))?$/;

interface Block {
  message: string;
  /** The innermost place of the project's own, so far. */
  last: { file: string; line: number } | undefined;
  /** In what the test itself printed: nothing there is a place of the failure. */
  captured: boolean;
}

/** pytest, with every `--tb` style: the E line is the message, the innermost own frame the place. */
export const pytest: Format = {
  name: "pytest",
  start(): LineParser {
    let block: Block | undefined;
    const close = (): FoundError | undefined => {
      const done = block;
      block = undefined;
      return done?.message && done.last ? { ...done.last, message: done.message } : undefined;
    };
    return {
      line(text) {
        if (section.test(text)) {
          const found = close();
          block = { message: "", last: undefined, captured: false };
          return found;
        }
        if (block === undefined) return undefined;
        if (/^-{3,} Captured /.test(text)) {
          block.captured = true;
          if (block.message !== "" && block.last !== undefined) return close();
        }
        const [, file, message] = summary.exec(text) ?? [];
        if (file !== undefined) return close() ?? { file, message: message ?? "failed" };
        return step(block, text);
      },
      end: close,
    };
  },
};

function step(block: Block, text: string): FoundError | undefined {
  const [, badFile, badLine] = syntaxPlace.exec(text) ?? [];
  if (badFile) block.last = { file: badFile, line: Number(badLine) };
  const [, error] = errorLine.exec(text) ?? [];
  if (error !== undefined) {
    if (badFile === undefined) block.message ||= error;
    if (/^SyntaxError: /.test(error)) block.message = error;
    return undefined;
  }
  const [, file, line, rest] = place.exec(text) ?? [];
  if (file === undefined || isForeignFrame(file)) return undefined;
  // Only --tb=line says the place after what was printed, and repeats the message there.
  if (block.captured && rest !== block.message) return undefined;
  // A place after the message ends the block; one before it is a call on the way there.
  if (block.message !== "" && rest) return { file, line: Number(line), message: block.message };
  block.last = { file, line: Number(line) };
  return undefined;
}
