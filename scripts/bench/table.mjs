// Numbers for people: medians, and Markdown tables with ratios against a named baseline of the same run.
import { cpus } from "node:os";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const text = (ms) => (ms < 10 ? ms.toFixed(1) : String(Math.round(ms)));

/**
 * A Markdown table of times in ms. `times` maps each name to its samples; the ratio is that of the medians to the
 * baseline's, `over` the difference. A target is a function of (median, baseline's median) that says whether it is met.
 */
export function timeTable(title, times, { baseline, targets = {} }) {
  const base = median(times[baseline]);
  const rows = Object.entries(times).map(([name, samples]) => {
    const mid = median(samples);
    const target = targets[name];
    const verdict = target === undefined ? "" : `${target.text}: ${target.met(mid, base) ? "met" : "MISSED"}`;
    const range = `${text(Math.min(...samples))} – ${text(Math.max(...samples))}`;
    const ratio = name === baseline ? "baseline" : `${(mid / base).toPrecision(2)} x`;
    return [name, text(mid), range, samples.length, ratio, name === baseline ? "" : text(mid - base), verdict];
  });
  return markdown(title, ["", "median ms", "range", "n", "ratio", "over", "target"], rows);
}

/** A Markdown table. */
export function markdown(title, columns, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const lines = [line(columns), line(columns.map((_, at) => (at === 0 ? "---" : "--:"))), ...rows.map(line)];
  return `\n**${title}**\n\n${lines.join("\n")}\n`;
}

/** On what the numbers were measured. */
export const machineLine = () =>
  `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} cores, ${new Date().toISOString().slice(0, 10)}`;
