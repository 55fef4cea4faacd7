import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";
import { errorText } from "./errors.ts";

/** Keys and indexes from the root of the config to one value. */
export type ConfigPath = readonly (string | number)[];

/** One thing wrong in a file; `line` counts from 1. */
export interface Problem {
  file: string;
  line: number | undefined;
  path: ConfigPath;
  message: string;
}

/** Something wrong at a path; whoever has the file finds the line. */
export type Finding = Pick<Problem, "path" | "message">;

/** The project config's text as plain values, with the way back from a value to its line. */
export interface ConfigSource {
  /** What the file is called in messages. */
  file: string;
  /** The root mapping; empty for an empty file. */
  values: Record<string, unknown>;
  /** Line of exactly this path, or undefined where the file does not have it. */
  findLine: (path: ConfigPath) => number | undefined;
  /** Line of the path, or of the nearest thing around it that the file has. */
  nearLine: (path: ConfigPath) => number;
  /** How a number is written in the file (`1.10`, `0x1f`), or undefined for anything else. */
  numberText: (path: ConfigPath) => string | undefined;
}

/** Far more than any real config needs; a few nested anchors can stand for millions of values. */
const maxAliasCount = 200;

/** Reads YAML text; syntax errors, duplicate keys, too many aliases and a root that is no mapping come back as problems. */
export function readSource(file: string, text: string): ConfigSource | Problem[] {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true });
  const found: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    file,
    line: counter.linePos(error.pos[0]).line,
    path: [],
    message: error.code === "DUPLICATE_KEY" ? "the same key stands here a second time" : errorText(error),
  }));
  visit(document, {
    Alias: (_key, alias) => {
      if (alias.resolve(document) !== undefined) return;
      const line = alias.range ? counter.linePos(alias.range[0]).line : undefined;
      found.push({ file, line, path: [], message: `no anchor \`&${alias.source}\` stands before this alias` });
    },
  });
  if (found.length > 0) return found;
  const values = plainValues(document);
  if (typeof values === "string") return [{ file, line: 1, path: [], message: values }];
  const line = (node: Node): number | undefined => (node.range ? counter.linePos(node.range[0]).line : undefined);
  return {
    file,
    values,
    findLine: (path) => {
      const node = findNode(document, path);
      return node && line(node.shownAt);
    },
    nearLine: (path) => {
      for (let length = path.length; length > 0; length -= 1) {
        const node = findNode(document, path.slice(0, length));
        const at = node && line(node.shownAt);
        if (at !== undefined) return at;
      }
      return 1;
    },
    numberText: (path) => {
      const value = findNode(document, path)?.value;
      return isScalar(value) && typeof value.value === "number" ? value.source : undefined;
    },
  };
}

/** The root mapping as plain values, or what is wrong with it. */
function plainValues(document: Document.Parsed): Record<string, unknown> | string {
  let values: unknown;
  try {
    values = document.toJS({ maxAliasCount });
  } catch (error) {
    return `cannot be read: ${errorText(error)}`;
  }
  if (values === null || values === undefined) return {};
  if (typeof values !== "object" || Array.isArray(values)) {
    return "the file must be a mapping of keys such as `processes:`";
  }
  return { ...values };
}

interface Found {
  /** The node whose line a reader looks at: the key of a mapping, else the value. */
  shownAt: Node;
  value: Node | undefined;
}

function findNode(document: Document.Parsed, path: ConfigPath): Found | undefined {
  let found: Found | undefined;
  let within: Node | null | undefined = document.contents;
  for (const step of path) {
    const container: Node | null | undefined = isAlias(within) ? within.resolve(document) : within;
    found = child(container, step);
    if (found === undefined) return undefined;
    within = found.value;
  }
  return found;
}

function child(container: Node | null | undefined, step: string | number): Found | undefined {
  if (isSeq<Node>(container)) {
    const item = container.items[Number(step)];
    return item && { shownAt: item, value: item };
  }
  if (!isMap<Node, Node>(container)) return undefined;
  const pair = container.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
  return pair && { shownAt: pair.key, value: pair.value ?? undefined };
}
