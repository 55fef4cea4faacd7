import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import type { WatchedStack, WatchFrame } from "../stacks/index.ts";
import { textWidth } from "./text-width.ts";
import { fitWidths, viewLines } from "./watch-view.ts";

const at = "2026-01-31T14:30:00.000Z";
const ago = (seconds: number): string => new Date(Date.parse(at) - seconds * 1000).toISOString();
const api = { process: "api", status: "online", healthy: true, pid: 7, port: 8010, restarts: 0, upMs: 65_000 };

const stack = (id: number, more: Partial<WatchedStack> = {}): WatchedStack => ({
  id,
  project: "shop",
  workdir: `/work/agent-${id}`,
  status: "ready",
  urls: { api: `http://localhost:${8000 + 10 * id}`, web: `http://localhost:${3000 + 10 * id}` },
  processes: [api],
  git: { branch: `agent/${id}`, head: "abcdef12", changed: 0 },
  usage: { count: 3, cpu: 12.34, memoryBytes: 210 * 1024 ** 2 },
  asked: true,
  ...more,
});

const frame = (stacks: WatchedStack[], more: Partial<WatchFrame> = {}): WatchFrame => ({
  at,
  machine: {
    cpu: 42,
    cores: 8,
    memory: { totalBytes: 16 * 1024 ** 3, availableBytes: 12 * 1024 ** 3 },
    disk: { totalBytes: 100 * 1024 ** 3, availableBytes: 5 * 1024 ** 3 },
  },
  infra: {
    driver: "embedded",
    services: (["postgres", "s3", "browser", "mail"] as const).map((service) => ({
      service,
      healthy: true,
      detail: "",
    })),
  },
  stacks,
  ...more,
});

const lines = (of: WatchFrame, columns = 160, rows = 30) => viewLines(of, { columns, rows, coloured: false });

test("the machine, infra, and a line for each stack", () => {
  const found = lines(frame([stack(1), stack(12, { verify: { status: "fail", at: ago(200), full: true } })]));
  expect(found[0]).toMatch(/^2 stacks {3}cpu 42 % of 8 cores {3}ram 4\.0 GB of 16\.0 GB {3}disk 95\.0 GB of 100\.0 GB/);
  expect(found[1]).toBe("infra 4 of 4 healthy   embedded");
  expect(found.slice(2)).toEqual([
    "",
    "agent  branch    status  cpu %     ram  verify     up  restarts  ports              now",
    "    1  agent/1   ready    12.3  210 MB           65 s            api:8010 web:3010",
    "   12  agent/12  ready    12.3  210 MB  ✖ 3 min  65 s            api:8120 web:3120",
  ]);
});

test("what is not known yet is not said", () => {
  const unknown = stack(1, { asked: false, processes: [] });
  const { git: _git, usage: _usage, ...bare } = unknown;
  const { infra: _infra, ...early } = frame([bare]);
  const found = lines(early);
  expect(found[1]).toBe("infra …");
  expect(found.at(-1)).toMatch(/^ {4}1 +ready … +api:8010 web:3010$/);
});

test.each<[string, Partial<WatchedStack>, string]>([
  ["a branch with changes", { git: { branch: "main", changed: 12 } }, "main *12"],
  ["no branch", { git: { head: "abcdef12", changed: 0 } }, "abcdef12"],
  ["a verify of some stages", { verify: { status: "pass", at: ago(30), full: false, only: ["lint"] } }, "✔ 30 s lint"],
  ["restarts", { processes: [{ ...api, restarts: 2 }] }, "  2  "],
  [
    "who works on it",
    { busy: "working on the stack of agent 1", busyPid: 99 },
    "working on the stack of agent 1 (pid 99)",
  ],
  [
    "why it is not well, on one line",
    { status: "unhealthy", processes: [{ ...api, healthy: false, reason: "answered 503:\n<\x1b[2Jhtml>" }] },
    "unhealthy",
  ],
])("shows %s", (_, more, text) => {
  const found = lines(frame([stack(1, more)]));
  expect(found.at(-1)).toContain(text);
  expect(found).toHaveLength(5);
});

test("a service that does not answer is named with what it says", () => {
  const services = [{ service: "s3" as const, healthy: false, detail: "connect\nECONNREFUSED" }];
  expect(lines(frame([], { infra: { services } }))[1]).toBe("infra 0 of 1 healthy   s3: connect ECONNREFUSED");
});

test("no stack: the next command", () => {
  expect(lines(frame([])).at(-1)).toBe("There is no stack here. Run: agent-harness launch 1");
});

describe("whatever the size", () => {
  const many = Array.from({ length: 20 }, (_, at) =>
    stack(at + 1, {
      git: { branch: `feature/日本語-${"x".repeat(at * 3)}`, changed: at },
      ...(at > 15
        ? { status: "unhealthy" as const, processes: [{ ...api, healthy: false, reason: "r".repeat(90) }] }
        : {}),
    }),
  );

  test.each([
    [200, 40],
    [120, 24],
    [80, 24],
    [80, 10],
    [60, 8],
    [40, 6],
    [20, 5],
    [8, 3],
    [1, 1],
  ])("%d columns and %d rows are never exceeded", (columns, rows) => {
    for (const coloured of [true, false]) {
      const found = viewLines(frame(many), { columns, rows, coloured });
      expect(found.length).toBeLessThanOrEqual(rows);
      for (const line of found) expect(textWidth(line), line).toBeLessThanOrEqual(columns);
      expect(found.map(stripVTControlCharacters).map((line) => line.trimEnd())).toEqual(
        viewLines(frame(many), { columns, rows, coloured: false }),
      );
    }
  });

  test("a long table ends in how many more there are, and whether they are well", () => {
    const found = lines(frame(many), 120, 14);
    expect(found).toHaveLength(14);
    expect(found.at(-1)).toBe("… 11 more, 4 of them not well");
    expect(found.at(-2)).toMatch(/^ {4}9 /);
    expect(lines(frame(many), 120, 24).at(-1)).toMatch(/^ {3}20 /);
  });

  test("a narrow terminal keeps what matters most: agent, status, memory, what is wrong", () => {
    const found = lines(frame(many), 60, 30);
    expect(found[3]).toMatch(/agent.*status.*ram.*now/);
    expect(found[3]).not.toMatch(/restarts|up/);
  });
});

describe("the widths of columns", () => {
  const all = [
    { min: 4, rank: 0 },
    { min: 4, rank: 2 },
    { min: 4, rank: 1 },
  ];
  test.each([
    [[6, 6, 6], 22, [6, 6, 6]],
    [[6, 20, 6], 22, [6, 6, 6]],
    [[6, 10, 8], 20, [5, 5, 6]],
    [[6, 10, 8], 10, [4, 0, 4]],
    [[6, 10, 8], 4, [4, 0, 0]],
    [[6, 10, 8], 1, [4, 0, 0]],
  ])("%j in %d: %j", (natural, room, expected) => {
    expect(fitWidths(natural, all, room)).toEqual(expected);
  });
});
