import { type Format, type FoundError, isForeignFrame, type LineParser } from "./format.ts";

const failLine = /^\s?FAIL\s+(?:\S+ )?(\S+\.\w+)(?: \([\d.]+ m?s\))?$/;
const blockLine = /^ {2}● (?!Console$|Validation Warning|Deprecation Warning)(.*)$/;
const syntaxError = /^\s+(?:SyntaxError: )(.+?): (.*) \((\d+):\d+\)$/;
const frame = /^\s+at (?:.*\()?([^()]+?):(\d+):\d+\)?$/;

interface Block {
  file: string | undefined;
  message: string;
}

/** Jest: a ● block with the error's message, a code frame and a stack. */
export const jest: Format = {
  name: "jest",
  start(): LineParser {
    let file: string | undefined;
    let block: Block | undefined;
    const close = (): FoundError | undefined => {
      const done = block;
      block = undefined;
      return done?.message ? done : undefined;
    };
    return {
      line(text) {
        if (blockLine.test(text)) {
          const before = close();
          block = { file, message: "" };
          return before;
        }
        const [, failed] = failLine.exec(text) ?? [];
        if (failed !== undefined) file = failed;
        if (failed !== undefined || text.startsWith("Test Suites:")) return close();
        return block && step(block, text);
      },
      end: close,
    };
  },
};

function step(block: Block, text: string): FoundError | undefined {
  const [, badFile, reason, badLine] = syntaxError.exec(text) ?? [];
  if (badFile) return { file: badFile, line: Number(badLine), message: `SyntaxError: ${reason}` };
  const [, file, line] = frame.exec(text) ?? [];
  if (file !== undefined) {
    return isForeignFrame(file) ? undefined : { file, line: Number(line), message: block.message };
  }
  const words = text.trim();
  // The matcher's own line says little without the two values below it.
  if (block.message === "" || /^(Expected|Received)\b.*: /.test(words)) {
    block.message = `${block.message} ${words}`.trim();
  }
  return undefined;
}
