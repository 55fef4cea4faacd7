import { lineFormat } from "./format.ts";

const plain = /^(\S.*?)\((\d+),\d+\): error (TS\d+: .*)$/;
const pretty = /^(\S.*?):(\d+):\d+ - error (TS\d+: .*)$/;
const global = /^error (TS\d+: .*)$/;

/** The TypeScript compiler: plain, `--pretty`, and errors that belong to no file (a tsconfig that is not there). */
export const tsc = lineFormat("tsc", (text) => {
  const [, file, line, message] = plain.exec(text) ?? pretty.exec(text) ?? [];
  if (file && message) return { file, line: Number(line), message };
  const [, alone] = global.exec(text) ?? [];
  return alone ? { message: alone } : undefined;
});
