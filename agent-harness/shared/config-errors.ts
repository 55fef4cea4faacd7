import type { z } from "zod";
import { configJsonSchema } from "./config-schema.ts";
import type { ConfigPath, Finding, Problem } from "./config-source.ts";
import { HarnessError } from "./errors.ts";
import { suggest } from "./nearest.ts";

/** More than this helps nobody; the first ones usually explain the rest. */
const shownProblems = 20;

type Issue = z.core.$ZodIssue;
/** The parts of JSON Schema that say which keys may stand where. */
interface SchemaNode {
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
}

/** `verify.stages[0].commands`, as it stands in messages and in `agent-harness config`. */
export function formatPath(path: ConfigPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");
}

/** The one error for a wrong project config: every problem on a line of its own, in the order of the file. */
export function configInvalid(path: string, problems: readonly Problem[]): HarnessError {
  const sorted = [...problems].sort((a, b) => a.file.localeCompare(b.file) || (a.line ?? 0) - (b.line ?? 0));
  const lines = sorted.slice(0, shownProblems).map((problem) => `  ${formatProblem(problem)}`);
  if (sorted.length > shownProblems) lines.push(`  … and ${sorted.length - shownProblems} more`);
  const count = sorted.length === 1 ? "a problem" : `${sorted.length} problems`;
  return new HarnessError("CONFIG_INVALID", `${path} has ${count}:\n${lines.join("\n")}`, {
    hint: "Correct the lines named, then run the same command again; docs/config.md explains every key.",
    context: {
      path,
      problems: sorted.map((problem) => ({ ...problem, path: formatPath(problem.path) })),
    },
  });
}

function formatProblem({ file, line, path, message }: Problem): string {
  const where = line === undefined ? file : `${file}:${line}`;
  return path.length === 0 ? `${where}: ${message}` : `${where}: ${formatPath(path)}: ${message}`;
}

/** What zod found, as problems without a place: path and message, one for each unknown key. */
export function schemaProblems(error: z.ZodError, values: unknown): Finding[] {
  return error.issues.flatMap((issue) => flatten(issue, []).flatMap((flat) => explain(flat, values)));
}

/** A union's issue replaced by those of the form that the value comes closest to. */
function flatten(issue: Issue, before: PropertyKey[]): Issue[] {
  const path = [...before, ...issue.path];
  if (issue.code !== "invalid_union") return [{ ...issue, path }];
  const forms = issue.errors
    .map((issues) => issues.flatMap((inner) => flatten(inner, path)))
    .filter((issues) => !issues.some((inner) => inner.code === "invalid_type" && inner.path.length === path.length))
    .sort((a, b) => a.length - b.length);
  return forms[0] ?? [{ ...issue, path }];
}

function explain(issue: Issue, values: unknown): Finding[] {
  const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  // A key given as a number would be quoted in the message; it is the only secret of another type than text.
  const value = path.at(-1) === "secretKey" ? mask(valueAt(values, path)) : valueAt(values, path);
  if (issue.code === "unrecognized_keys") {
    const allowed = allowedKeys(path);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key \`${key}\`${suggest(key, allowed)}`,
    }));
  }
  return [{ path, message: describe(issue, value) }];
}

function describe(issue: Issue, value: unknown): string {
  if (value === undefined && issue.code !== "invalid_key") return "is missing";
  switch (issue.code) {
    case "invalid_value":
      return `is ${shown(value)}${suggest(
        String(value),
        issue.values.map((allowed) => String(allowed)),
      )}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? issue.message;
    case "invalid_type":
      return `must be ${kinds[issue.expected] ?? issue.expected}, not ${kindOf(value)}`;
    case "invalid_union":
      return `must be ${unionKinds(issue)}, not ${kindOf(value)}`;
    case "too_small":
      return issue.origin === "string" || issue.origin === "array"
        ? "must not be empty"
        : `is ${shown(value)}; the smallest allowed is ${issue.minimum}`;
    case "too_big":
      return `is ${shown(value)}; the largest allowed is ${issue.maximum}`;
    case "invalid_format":
      return issue.format === "starts_with" ? "must begin with `/`" : issue.message;
    default:
      return issue.message;
  }
}

const kinds: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "a mapping",
  record: "a mapping",
  array: "a list",
  null: "null",
};

function unionKinds(issue: Extract<Issue, { code: "invalid_union" }>): string {
  const expected = issue.errors.flatMap((issues) =>
    issues.flatMap((inner) => {
      if (inner.code === "invalid_union") return [unionKinds(inner)];
      return inner.code === "invalid_type" ? [kinds[inner.expected] ?? inner.expected] : [];
    }),
  );
  return [...new Set(expected)].join(" or ") || "of another form";
}

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return shown(value);
}

/** Short and quoted; only asked for where the value cannot be a secret. */
const shown = (value: unknown): string => `\`${String(value).slice(0, 40).replaceAll(/\s+/g, " ")}\``;

const mask = (value: unknown): unknown => (typeof value === "object" || value === undefined ? value : "••••");

function valueAt(values: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((within, step) => {
    if (typeof within !== "object" || within === null || !Object.hasOwn(within, step)) return undefined;
    return Reflect.get(within, step);
  }, values);
}

/** The keys that may stand at a path, read from the same JSON Schema that editors use. */
function allowedKeys(path: ConfigPath): string[] {
  const root: SchemaNode = configJsonSchema();
  let nodes = [root];
  for (const step of path) nodes = nodes.flatMap((node) => below(node, step));
  return [...new Set(nodes.flatMap(forms).flatMap((node) => Object.keys(node.properties ?? {})))];
}

const forms = (node: SchemaNode): SchemaNode[] => [node, ...(node.anyOf ?? []).flatMap(forms)];

function below(node: SchemaNode, step: string | number): SchemaNode[] {
  return forms(node).flatMap((form) => {
    if (typeof step === "number") return form.items ? [form.items] : [];
    const named = form.properties?.[step];
    if (named) return [named];
    return typeof form.additionalProperties === "object" ? [form.additionalProperties] : [];
  });
}
