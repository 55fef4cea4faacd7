import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { type LogLine, type LogSource, openLogs } from "./logs.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-logs-"));
});
afterEach(async () => await rm(folder, { recursive: true }));

const record = (message: string, second: number): string =>
  `${JSON.stringify({ message, timestamp: new Date(second * 1000).toISOString(), type: "out", process_id: 0, app_name: "a" })}\n`;

async function source(agent: number, process: string, text: string): Promise<LogSource> {
  const logFile = join(folder, `${agent}-${process}.log`);
  await writeFile(logFile, text);
  return { agent, process, logFile };
}

const brief = (lines: readonly LogLine[]) => lines.map(({ agent, process, line }) => `${agent} ${process} ${line}`);

test("the lines of several agents in the order in which they were printed", async () => {
  const api = await source(1, "api", `older\n${record("first\n", 1)}${record("third\nfourth\n", 3)}`);
  const web = await source(2, "web", record("second\n", 2) + record("also third\n", 3));
  const { lines, gaps } = await openLogs([api, web], {});
  expect(brief(lines)).toEqual([
    "1 api older",
    "1 api first",
    "2 web second",
    "1 api third",
    "1 api fourth",
    "2 web also third",
  ]);
  expect(lines[0]).toEqual({ agent: 1, process: "api", line: "older" });
  expect(lines[1]).toMatchObject({ time: "1970-01-01T00:00:01.000Z", stream: "out" });
  expect(gaps).toEqual([]);
  expect(brief((await openLogs([api, web], { lines: 1 })).lines)).toEqual(["1 api fourth", "2 web also third"]);
});

test("lines that cannot be placed in time are named, not shown", async () => {
  const api = await source(1, "api", `plain\n${record("timed\n", 5)}`);
  const { lines, gaps } = await openLogs([api], { since: 2000 });
  expect(brief(lines)).toEqual(["1 api timed"]);
  expect(gaps).toEqual([expect.stringMatching(/^agent 1 api: 1 line carries no time/)]);
});

test("following finds the logs of agents that come later, from their first line on", async () => {
  const api = await source(1, "api", "");
  const all = [api];
  const lines: LogLine[] = [];
  const stop = new AbortController();
  const logs = await openLogs(all, { whole: true });
  const ended = logs.follow(
    stop.signal,
    (line) => lines.push(line),
    async () => all,
  );
  all.push(await source(2, "web", record("begins\n", 1)));
  await until("the first line of the new one", () => brief(lines).includes("2 web begins"));
  await writeFile(api.logFile, record("goes on\n", 2));
  await until("a line of the old one", () => brief(lines).includes("1 api goes on"));
  expect(lines).toHaveLength(2);
  stop.abort();
  await ended;
});
