/** What a parser made of a tool's output: the first error it names. */
export interface FoundError {
  /** The file as the tool printed it; relative to wherever the tool stood. */
  file?: string | undefined;
  line?: number | undefined;
  message: string;
  /** The end of the folder that the file lies in, where the tool says it (Go: the package). */
  folder?: string | undefined;
}

/** Fed one line at a time, without colours; answers as soon as it knows the first error. */
export interface LineParser {
  line(text: string): FoundError | undefined;
  /** What it has when the output ends. */
  end(): FoundError | undefined;
}

/** The output of one family of tools. */
export interface Format {
  name: string;
  start(): LineParser;
}

/** A format in which every error stands on a line of its own. */
export function lineFormat(name: string, line: (text: string) => FoundError | undefined): Format {
  return { name, start: () => ({ line, end: () => undefined }) };
}

/** A stack frame that the project's author did not write. */
export const isForeignFrame = (file: string): boolean =>
  /(^|[\\/])node_modules[\\/]|^node:|^<|[\\/]site-packages[\\/]|[\\/]lib[\\/]python\d|^internal\//.test(file);
