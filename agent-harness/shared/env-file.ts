import { parse } from "dotenv";
import { HarnessError } from "./errors.ts";

/** The variables of an env file's text, exactly as dotenv reads them. The process's own environment is not touched. */
export function parseEnv(text: string): Record<string, string> {
  return parse(text);
}

/**
 * The text of an env file from which dotenv gives every value back exactly; `header` becomes comment lines on top.
 * Throws ENV_VALUE_UNSUPPORTED, which names the key and never the value, for what no form of quoting can carry.
 */
export function renderEnv(values: Readonly<Record<string, string>>, header?: string): string {
  const lines = header === undefined ? [] : header.split(/\r\n|\r|\n/).map((line) => `# ${line}`.trimEnd());
  for (const [key, value] of Object.entries(values)) lines.push(renderLine(key, value));
  const text = lines.length === 0 ? "" : `${lines.join("\n")}\n`;
  checkCarriedBack(values, text);
  return text;
}

function renderLine(key: string, value: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) throw unsupported(key, "its name is no variable name");
  // A process's environment ends a value at NUL, and a lone surrogate does not survive being written as UTF-8.
  if (value.includes("\0")) throw unsupported(key, "it holds a NUL character");
  if (Buffer.from(value).toString() !== value) throw unsupported(key, "it is not well-formed Unicode");
  const line = forms(value)
    .map((form) => `${key}=${form}`)
    .find((candidate) => sameAlone(candidate, key, value));
  if (line === undefined) throw unsupported(key, "no form of quoting carries it back");
  return line;
}

/** The ways to write a value, those first that mean the same whatever line comes after them. */
function forms(value: string): string[] {
  const quoted = ["'", '"', "`"].map((quote) => ({ quote, text: `${quote}${value}${quote}` }));
  const certain = quoted.filter(({ quote }) => !value.includes(quote) && !value.endsWith("\\"));
  const plain = /^[\w./:@%+,=-]+$/.test(value) ? [value] : [];
  return [...plain, ...certain.map(({ text }) => text), value, ...quoted.map(({ text }) => text)];
}

function sameAlone(line: string, key: string, value: string): boolean {
  const back = parse(`${line}\n`);
  return Object.keys(back).length === 1 && back[key] === value;
}

/** A quote that one line leaves open can swallow the next line, so the whole text is read back as well. */
function checkCarriedBack(values: Readonly<Record<string, string>>, text: string): void {
  const back = parse(text);
  const lost = Object.keys(values).find((key) => back[key] !== values[key]);
  if (lost !== undefined) throw unsupported(lost, "beside the other values no form of quoting carries it back");
  const extra = Object.keys(back).find((key) => !Object.hasOwn(values, key));
  if (extra !== undefined) throw unsupported(extra, "it appeared out of another value");
}

const unsupported = (key: string, why: string): HarnessError =>
  new HarnessError("ENV_VALUE_UNSUPPORTED", `The value of ${key} cannot stand in an env file: ${why}.`, {
    hint: `Change the value of ${key} (for instance to its base64 form), or let the application read it from a file.`,
    context: { key },
  });
