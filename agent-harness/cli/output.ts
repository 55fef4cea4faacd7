import type { HarnessError } from "../shared/errors.ts";

/** One JSON document. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** An error for people: what happened, what was left behind, what to do next. A bug shows its stack. */
export function errorLines(error: HarnessError): string {
  const lines = [`error ${error.code}: ${error.message}`];
  if (error.leftBehind !== undefined) lines.push(`left behind: ${error.leftBehind}`);
  if (error.hint !== undefined) lines.push(`next: ${error.hint}`);
  if (error.kind === "bug") {
    const cause = error.cause instanceof Error ? error.cause : error;
    lines.push(cause.stack ?? "", "This is a bug in agent-harness; please report it with the lines above.");
  }
  return `${lines.join("\n")}\n`;
}

/** Rows as columns that line up; numbers to the right. */
export function table(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => row.map(cellText));
  const widths = columns.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at]?.length ?? 0)));
  const numeric = columns.map((_, at) => rows.length > 0 && rows.every((row) => typeof row[at] === "number"));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (numeric[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return `${[line(columns), ...cells.map(line)].join("\n")}\n`;
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  return (typeof value === "object" ? JSON.stringify(value) : String(value)).replaceAll("\n", "⏎");
}

/** A size for people. */
export function sizeText(bytes: number): string {
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} kB`;
  return bytes < 1024 ** 3 ? `${Math.round(bytes / 1024 ** 2)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}
