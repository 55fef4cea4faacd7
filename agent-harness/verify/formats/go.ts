import type { Format, FoundError, LineParser } from "./format.ts";

const compile = /^(?:vet: )?(\S[^:]*\.go):(\d+):(?:\d+:)? (.*)$/;
const testLine = /^\s{4,}(\S[^:\s]*\.go):(\d+): ?(.*)$/;
const running = /^=== (?:RUN|NAME|CONT)\s+(\S.*)$/;
const verdict = /^\s*--- (FAIL|PASS|SKIP): (\S.*?) \([\d.]+s\)$/;
const packageLine = /^FAIL\t(\S+)/;
const panicLine = /^panic: (.*?)(?: \[recovered.*)?$/;
const goroutineFrame = /^\t(\S.*\.go):(\d+)(?: \+0x[0-9a-f]+)?$/;
/** The standard library and downloaded modules. */
const foreign = /\/go\/src\/|\/src\/(?:testing|runtime|internal|reflect)\/|\/pkg\/mod\//;

interface State {
  test: string;
  /** First line each running test printed: only `-v` prints it before the verdict. */
  printed: Map<string, FoundError>;
  failed: boolean;
  panic: string | undefined;
  /** Found, but the package (and with it the folder) is named at its end. */
  pending: FoundError | undefined;
}

/** `go build`, `go vet` and `go test`: compile errors, what a failed test printed, panics. */
export const go: Format = {
  name: "go",
  start(): LineParser {
    const state: State = { test: "", printed: new Map(), failed: false, panic: undefined, pending: undefined };
    return { line: (text) => step(state, text), end: () => state.pending };
  },
};

function step(state: State, text: string): FoundError | undefined {
  const [, folder] = packageLine.exec(text) ?? [];
  if (folder !== undefined && state.pending !== undefined) return { ...state.pending, folder };
  if (folder !== undefined) state.failed = false;
  if (state.pending !== undefined) return completeAssertion(state.pending, text);
  const [, panic] = panicLine.exec(text) ?? [];
  if (panic !== undefined) state.panic = `panic: ${panic}`;
  if (state.panic !== undefined) {
    const [, file, line] = goroutineFrame.exec(text) ?? [];
    return file && !foreign.test(file) ? { file, line: Number(line), message: state.panic } : undefined;
  }
  const [, file, line, message] = compile.exec(text) ?? [];
  if (file) return { file, line: Number(line), message: message ?? "" };
  followTests(state, text);
  return undefined;
}

function followTests(state: State, text: string): void {
  const [, started] = running.exec(text) ?? [];
  if (started !== undefined) {
    state.test = started;
    state.failed = false;
  }
  const [, outcome, test] = verdict.exec(text) ?? [];
  if (outcome === "FAIL" && test !== undefined) {
    state.failed = true;
    for (const [name, found] of state.printed) {
      if (name === test || name.startsWith(`${test}/`)) state.pending ??= found;
    }
  } else if (test !== undefined) state.printed.delete(test);
  const [, file, line, message] = testLine.exec(text) ?? [];
  if (file === undefined) return;
  const found: FoundError = { file, line: Number(line), message: message ?? "" };
  if (state.failed) state.pending = found;
  else if (!state.printed.has(state.test)) state.printed.set(state.test, found);
}

/** An assertion library leaves the first line empty and says below it what was wrong. */
function completeAssertion(pending: FoundError, text: string): undefined {
  const [, error] = /^\s+Error:\s+(\S.*)$/.exec(text) ?? [];
  const [, side] = /^\s+((?:expected|actual)\s*: .*)$/.exec(text) ?? [];
  if (pending.message === "" && error !== undefined) pending.message = error;
  else if (side !== undefined && pending.message.startsWith("Not equal:")) pending.message += ` ${side}`;
}
