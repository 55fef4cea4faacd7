import { type Format, type FoundError, isForeignFrame, type LineParser } from "./format.ts";

const errorLine = /^\s*(?:Uncaught )?((?:[A-Z][\w.]*)?(?:Error|Exception)(?: \[\w+\])?: .*)$/;
const jsFrame = /^\s+at (?:.*\()?((?:file:\/\/)?[^()\s]+?):(\d+):\d+\)?$/;
/** Where Node says a script threw, above the code. */
const thrownAt = /^((?:file:\/\/)?\/\S.*):(\d+)$/;
const pythonFrame = /^\s+File "(.+)", line (\d+)/;

interface State {
  place: { file: string; line: number } | undefined;
  python: boolean;
  message: string | undefined;
}

/** Uncaught errors of JavaScript and Python programs, with their stack: for tools that are in no family of their own. */
export const stack: Format = {
  name: "stack",
  start(): LineParser {
    const state: State = { place: undefined, python: false, message: undefined };
    return {
      line: (text) => step(state, text),
      end: () => (state.message === undefined ? undefined : { ...state.place, message: state.message }),
    };
  },
};

function step(state: State, text: string): FoundError | undefined {
  if (text === "Traceback (most recent call last):") state.python = true;
  const [, file, line] = (state.python ? pythonFrame : thrownAt).exec(text) ?? [];
  if (file !== undefined && !isForeignFrame(file)) state.place = { file, line: Number(line) };
  if (state.message === undefined) {
    const [, message] = errorLine.exec(text) ?? [];
    // In Python the stack is over when the error is named; in JavaScript it begins there.
    if (message !== undefined && state.python) return { ...state.place, message };
    state.message = message;
    return undefined;
  }
  const [, at, atLine] = jsFrame.exec(text) ?? [];
  if (at === undefined || isForeignFrame(at)) return undefined;
  return { file: at, line: Number(atLine), message: state.message };
}
