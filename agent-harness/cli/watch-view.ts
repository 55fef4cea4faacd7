import { roughly } from "../shared/duration.ts";
import type { WatchedStack, WatchFrame } from "../stacks/index.ts";
import { type Colour, paint } from "./colour.ts";
import { sizeText } from "./output.ts";
import { cutTo, fillTo, onOneLine, textWidth } from "./text-width.ts";

/* What `status --watch` shows: from data and the size of the terminal to lines, each no wider than that. */

export interface ViewSize {
  columns: number;
  rows: number;
  /** Whether colours are wanted. */
  coloured: boolean;
}

/** A piece of a line. */
interface Cell {
  text: string;
  colour?: Colour | undefined;
}

interface Column {
  title: string;
  /** The narrowest that still says something. */
  min: number;
  /** Which columns go first where there is no room: the highest. */
  rank: number;
  numeric?: boolean;
  cell: (stack: WatchedStack, at: number) => Cell;
}

const columns: readonly Column[] = [
  { title: "agent", min: 5, rank: 0, numeric: true, cell: ({ id }) => ({ text: String(id), colour: "bold" }) },
  { title: "project", min: 6, rank: 9, cell: ({ project }) => ({ text: project }) },
  { title: "branch", min: 8, rank: 5, cell: branchCell },
  { title: "status", min: 10, rank: 1, cell: statusCell },
  { title: "cpu %", min: 5, rank: 3, numeric: true, cell: ({ usage }) => ({ text: usage?.cpu?.toFixed(1) ?? "" }) },
  {
    title: "ram",
    min: 6,
    rank: 2,
    numeric: true,
    cell: ({ usage }) => ({ text: usage ? sizeText(usage.memoryBytes) : "" }),
  },
  { title: "verify", min: 6, rank: 4, cell: verifyCell },
  { title: "up", min: 5, rank: 7, numeric: true, cell: upCell },
  { title: "restarts", min: 8, rank: 8, numeric: true, cell: restartsCell },
  { title: "ports", min: 9, rank: 6, cell: portsCell },
  { title: "now", min: 10, rank: 1, cell: nowCell },
];

/** The view: a header, a line for each stack, and how many more there are. */
export function viewLines(frame: WatchFrame, size: ViewSize): string[] {
  const { coloured } = size;
  const header = [machineLine(frame), infraLine(frame)].map((cells) => joinCells(cells, "   ", size));
  const room = size.rows - header.length - 2;
  const { shown, more } = choose(frame.stacks, room);
  const projects = new Set(frame.stacks.map((one) => one.project));
  const fitting = columns.filter((one) => one.title !== "project" || projects.size > 1);
  const table =
    frame.stacks.length === 0
      ? [cutTo("There is no stack here. Run: agent-harness launch 1", size.columns)]
      : tableLines(shown, fitting, frame, size);
  const rest = more === "" ? [] : [paint(cutTo(more, size.columns), "dim", coloured)];
  return [...header, "", ...table, ...rest].slice(0, Math.max(0, size.rows));
}

/** As many stacks as there is room for, and what is said of the others. */
function choose(stacks: readonly WatchedStack[], room: number): { shown: WatchedStack[]; more: string } {
  if (stacks.length <= room) return { shown: [...stacks], more: "" };
  const shown = stacks.slice(0, Math.max(0, room - 1));
  const hidden = stacks.slice(shown.length);
  const unwell = hidden.filter((one) => one.status === "unhealthy" || one.status === "failed").length;
  return { shown, more: `… ${hidden.length} more${unwell === 0 ? "" : `, ${unwell} of them not well`}` };
}

function machineLine({ at, machine, stacks }: WatchFrame): Cell[] {
  const { cpu, cores, memory, disk } = machine;
  const used = memory.totalBytes - memory.availableBytes;
  return [
    { text: `${stacks.length} stack${stacks.length === 1 ? "" : "s"}`, colour: "bold" },
    { text: `cpu ${cpu === undefined ? "…" : `${cpu} %`} of ${cores} core${cores === 1 ? "" : "s"}` },
    share("ram", used, memory.totalBytes),
    ...(disk === undefined ? [] : [share("disk", disk.totalBytes - disk.availableBytes, disk.totalBytes)]),
    { text: new Date(at).toLocaleTimeString("en-GB"), colour: "dim" },
    { text: "q leaves", colour: "dim" },
  ];
}

/** How much of something is used; little is left above nine tenths. */
const share = (name: string, used: number, total: number): Cell => ({
  text: `${name} ${sizeText(used)} of ${sizeText(total)}`,
  colour: used > 0.9 * total ? "red" : undefined,
});

function infraLine({ infra }: WatchFrame): Cell[] {
  if (infra === undefined) return [{ text: "infra …", colour: "dim" }];
  const well = infra.services.filter((one) => one.healthy).length;
  const all = well === infra.services.length;
  return [
    { text: `infra ${well} of ${infra.services.length} healthy`, colour: all ? "green" : "red" },
    ...(infra.driver === undefined ? [] : [{ text: infra.driver }]),
    ...infra.services.flatMap(({ service, healthy, detail }) =>
      healthy ? [] : [{ text: `${service}: ${onOneLine(detail)}`, colour: "red" as const }],
    ),
  ];
}

function joinCells(cells: readonly Cell[], gap: string, { columns: width, coloured }: ViewSize): string {
  let left = width;
  const parts: string[] = [];
  for (const { text, colour } of cells) {
    const before = parts.length === 0 ? "" : gap;
    const room = left - textWidth(before);
    if (room < 1) break;
    const cut = cutTo(text, room);
    left = room - textWidth(cut);
    parts.push(before + paintCell({ text: cut, colour }, coloured));
  }
  return parts.join("");
}

const paintCell = ({ text, colour }: Cell, coloured: boolean): string =>
  colour === undefined ? text : paint(text, colour, coloured);

function tableLines(
  stacks: readonly WatchedStack[],
  all: readonly Column[],
  frame: WatchFrame,
  size: ViewSize,
): string[] {
  const at = Date.parse(frame.at);
  const rows = stacks.map((stack) => all.map((column) => column.cell(stack, at)));
  const natural = all.map((column, index) =>
    Math.max(textWidth(column.title), ...rows.map((row) => textWidth(row[index]?.text ?? ""))),
  );
  const widths = fitWidths(natural, all, size.columns);
  const line = (cells: readonly Cell[]): string =>
    cells
      .flatMap((cell, index) => {
        const width = widths[index] ?? 0;
        if (width === 0) return [];
        const text = fillTo(cutTo(cell.text, width), width, all[index]?.numeric ? "right" : "left");
        return [paintCell({ text, colour: cell.colour }, size.coloured)];
      })
      .join("  ")
      .trimEnd();
  return [line(all.map(({ title }) => ({ text: title, colour: "dim" }))), ...rows.map(line)];
}

/** How wide each column may be: the widest give way first, and where that is not enough those of the highest rank go. */
export function fitWidths(
  natural: readonly number[],
  all: readonly Pick<Column, "min" | "rank">[],
  room: number,
): number[] {
  const widths = [...natural];
  const total = (): number => widths.reduce((sum, one) => sum + (one === 0 ? 0 : one + 2), -2);
  while (total() > room) {
    const spare = widths.map((width, at) => width - (all[at]?.min ?? 0));
    const most = Math.max(...spare);
    if (most > 0) {
      const at = spare.indexOf(most);
      widths[at] = (widths[at] ?? 0) - 1;
      continue;
    }
    const left = all.flatMap((one, at) => (widths[at] === 0 ? [] : [one.rank]));
    const last = Math.max(...left);
    if (left.length <= 1) break;
    widths[all.findIndex((one, at) => one.rank === last && widths[at] !== 0)] = 0;
  }
  return widths;
}

function branchCell({ git }: WatchedStack): Cell {
  if (git === undefined) return { text: "" };
  const name = git.branch ?? git.head ?? "no commit";
  const dirty = git.changed > 0;
  return { text: onOneLine(`${name}${dirty ? ` *${git.changed}` : ""}`), colour: dirty ? "yellow" : undefined };
}

const statusColours: Readonly<Record<WatchedStack["status"], Colour>> = {
  ready: "green",
  unhealthy: "red",
  failed: "red",
  "no-ledger": "red",
  launching: "yellow",
  stopped: "dim",
  "tearing-down": "yellow",
};

function statusCell({ status, asked }: WatchedStack): Cell {
  return asked ? { text: status, colour: statusColours[status] } : { text: `${status} …`, colour: "dim" };
}

function verifyCell({ verify }: WatchedStack, at: number): Cell {
  if (verify === undefined) return { text: "" };
  const age = roughly(at - Date.parse(verify.at));
  const stages = verify.only === undefined ? "" : ` ${verify.only.join(",")}`;
  const passed = verify.status === "pass";
  return { text: onOneLine(`${passed ? "✔" : "✖"} ${age}${stages}`), colour: passed ? "green" : "red" };
}

/** How long the stack has been up: as long as the process that was started last. */
function upCell({ processes }: WatchedStack): Cell {
  const up = processes.flatMap((one) => one.upMs ?? []);
  return { text: up.length === 0 ? "" : roughly(Math.min(...up)) };
}

function restartsCell({ processes }: WatchedStack): Cell {
  const count = processes.reduce((sum, one) => sum + one.restarts, 0);
  return { text: count === 0 ? "" : String(count), colour: "yellow" };
}

function portsCell({ urls }: WatchedStack): Cell {
  const ports = Object.entries(urls).map(([name, url]) => `${name}:${URL.canParse(url) ? new URL(url).port : ""}`);
  return { text: ports.join(" ") };
}

/** Who works on the stack, or else what is wrong with it. */
function nowCell({ busy, busyPid, stopped, processes }: WatchedStack): Cell {
  if (busy !== undefined) return { text: onOneLine(`${busy} (pid ${busyPid})`), colour: "yellow" };
  if (stopped !== undefined) return { text: onOneLine(stopped.reason), colour: "dim" };
  const unwell = processes.filter((one) => !one.healthy).map((one) => `${one.process}: ${one.reason ?? one.status}`);
  return { text: onOneLine(unwell.join("; ")), colour: "red" };
}
