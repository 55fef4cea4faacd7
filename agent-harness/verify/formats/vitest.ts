import { type Format, type FoundError, isForeignFrame, type LineParser } from "./format.ts";

const failLine = /^ FAIL {2}(?:\|.*?\| )?(\S.*?)(?: > .*| \[ .* \])?$/;
const unhandledLine = /^⎯+ (?:Unhandled (?:Rejection|Error|Exception)|Uncaught Exception) ⎯+$/;
const ruleLine = /^⎯{5,}(?:\[\d+\/\d+\]⎯+)?$/;
const frame = /^\s*❯ (.+):(\d+):\d+$/;
const codeFrame = /╭─\[ (.+):(\d+):\d+ \]/;

interface Block {
  /** The test file, where the block names one. */
  file: string | undefined;
  message: string;
}

/** Vitest: a FAIL block with the error's message, then ` ❯ file:line:col` for each frame. */
export const vitest: Format = {
  name: "vitest",
  start(): LineParser {
    let block: Block | undefined;
    return {
      line(text) {
        const opened = open(text, block);
        if (opened !== undefined) block = opened;
        else if (block !== undefined) {
          // Jest has such a FAIL line too, when it prints colours.
          if (/^\s+● /.test(text)) block = undefined;
          else return step(block, text);
        }
        return undefined;
      },
      end: () => (block?.message ? { file: block.file, message: block.message } : undefined),
    };
  },
};

function open(text: string, block: Block | undefined): Block | undefined {
  const [, file] = failLine.exec(text) ?? [];
  // Several tests that failed alike share one block.
  if (file !== undefined) return block !== undefined && block.message === "" ? block : { file, message: "" };
  return unhandledLine.test(text) ? { file: undefined, message: "" } : undefined;
}

function step(block: Block, text: string): FoundError | undefined {
  if (ruleLine.test(text)) return block.message ? { file: block.file, message: block.message } : undefined;
  const [, place, line] = frame.exec(text) ?? codeFrame.exec(text) ?? [];
  if (place === undefined) {
    if (block.message === "" || block.message.endsWith(":")) block.message = `${block.message} ${text.trim()}`.trim();
    return undefined;
  }
  const file = fileOf(place, block.file);
  return isForeignFrame(file) ? undefined : { file, line: Number(line), message: block.message };
}

/** A frame is a file, or a function's name and a file; the name has no slash. */
function fileOf(place: string, testFile: string | undefined): string {
  if (testFile !== undefined && (place === testFile || place.endsWith(` ${testFile}`))) return testFile;
  return place.replace(/^[^\s/]+ (?=\S)/, "");
}
