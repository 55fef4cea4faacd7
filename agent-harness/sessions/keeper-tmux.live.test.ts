import { execFile } from "node:child_process";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import {
  journalOf,
  type Keepers,
  lineProgram,
  linesOf,
  openKeepers,
  untilEnded,
  untilGone,
  untilLine,
} from "../testing/keepers.ts";
import { openTerminal } from "../testing/terminal.ts";
import { until } from "../testing/until.ts";
import { endSession } from "./process-end.ts";
import type { Spawn } from "./provider.ts";
import { findKeeper, type SessionFolder } from "./session-folder.ts";
import { attachCommand, hasWindow, killWindow } from "./tmux.ts";

let keepers: Keepers;
beforeEach(async () => {
  keepers = await openKeepers();
});
afterEach(async () => await keepers[Symbol.asyncDispose]());

const fileOf = (place: SessionFolder): string => join(keepers.home, `${place.id}.txt`);
const terminalOf = (place: SessionFolder): Spawn => lineProgram("terminal", fileOf(place));

/** What the program in the terminal wrote down at its start: its pid, TERM and TMUX. */
async function untilUp(place: SessionFolder): Promise<string[]> {
  const look = async (): Promise<string> =>
    (await readFile(fileOf(place), "utf8").catch(() => "")).split("\n")[0] ?? "";
  await until("the program is up", async () => (await look()).startsWith("up"));
  return (await look()).split(" ");
}

const typed = async (place: SessionFolder): Promise<string> =>
  (await readFile(fileOf(place), "utf8"))
    .trim()
    .split("\n")
    .slice(1)
    .map((chunk) => JSON.parse(chunk) as string)
    .join("");

test("a program runs in a window, is typed to once a key, and its end is told", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place) }, "tmux");
  const [, , term, tmux] = await untilUp(place);
  expect([term, tmux]).toEqual(["screen-256color", "undefined"]);
  const client = await keepers.connect(place);
  const paste = { paste: "do it\nnow", first: ["C-u"] };
  expect(await client.deliver(paste, "p")).toBe(true);
  expect(await client.deliver(paste, "p")).toBe(false);
  expect(await client.deliver({ keys: ["Escape"] }, "k")).toBe(true);
  expect(await client.deliver({ keys: ["Escape"] }, "k")).toBe(false);
  await until("it has arrived", async () => (await typed(place)).endsWith("\r\u001b"));
  expect(await typed(place)).toBe("\u0015\u001b[200~do it\rnow\u001b[201~\r\u001b");
  expect(await linesOf(place, "stdin")).toEqual(["do it\nnow", "Escape"]);
  await client.deliver({ keys: ["q"] }, "q");
  expect(await untilEnded(place)).toEqual({ code: 3, signal: null });
  const target = { server: keepers.tmux, window: place.id };
  await until("the window is closed", async () => !(await hasWindow(target)));
});

test("what tmux does not take is told and can be tried again; what it took is typed once", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place) }, "tmux");
  await untilUp(place);
  const client = await keepers.connect(place);
  const [paste, keys] = [{ paste: "do it" }, { keys: ["Escape"] }];
  await rename(keepers.tmux, `${keepers.tmux}.away`);
  await expect(client.deliver(paste, "p")).rejects.toMatchObject({ code: "KEEPER_FAILED" });
  await expect(client.deliver(keys, "k")).rejects.toMatchObject({ code: "KEEPER_FAILED" });
  expect(await linesOf(place, "stdin")).toEqual([]);
  await rename(`${keepers.tmux}.away`, keepers.tmux);
  const twice = [client.deliver(paste, "p"), (await keepers.connect(place)).deliver(paste, "p")];
  expect((await Promise.all(twice)).sort()).toEqual([false, true]);
  expect(await client.deliver(keys, "k")).toBe(true);
  expect(await client.deliver(keys, "k")).toBe(false);
  await until("it has arrived", async () => (await typed(place)).endsWith("\u001b"));
  expect(await typed(place)).toBe("\u001b[200~do it\u001b[201~\r\u001b");
  expect(await linesOf(place, "stdin")).toEqual(["do it", "Escape"]);
});

test("a file is the standard input of a terminal's program, the screen its output", async () => {
  const place = keepers.place();
  const [input, output] = [join(keepers.home, "in.txt"), join(keepers.home, "out.txt")];
  await writeFile(input, "long task\n");
  const script = 'cat >"$0"; test -t 0; echo "$?" >>"$0"; test -t 1; echo "$?" >>"$0"; exec sleep 611';
  const terminal: Spawn = { ...lineProgram(), argv: ["sh", "-c", script, output], stdin: input };
  await keepers.start(place, { terminal }, "tmux");
  const look = async (): Promise<boolean> => (await readFile(output, "utf8").catch(() => "")) === "long task\n1\n0\n";
  await until("it has read it", look);
});

test("started again as soon as it has ended, while its window closes", async () => {
  const place = keepers.place();
  for (const run of ["a", "b", "c", "d"]) {
    await keepers.start(place, { terminal: terminalOf(place) }, "tmux", run);
    await until(
      "the program is up",
      async () => (await uppings(place)).length === ["a", "b", "c", "d"].indexOf(run) + 1,
    );
    await (await keepers.connect(place)).deliver({ keys: ["q"] }, run);
    expect(await untilEnded(place)).toEqual({ code: 3, signal: null });
  }
});

const uppings = async (place: SessionFolder): Promise<string[]> =>
  (await readFile(fileOf(place), "utf8").catch(() => "")).split("\n").filter((line) => line.startsWith("up"));

test("with a program that speaks lines beside it; the end of the terminal is the end of both", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place), backend: lineProgram() }, "tmux");
  await untilUp(place);
  const client = await keepers.connect(place);
  await client.write("hello", "a");
  await untilLine(place, "got hello");
  await client.deliver({ keys: ["q"] }, "q");
  expect(await untilEnded(place)).toEqual({ code: 3, signal: null });
  expect((await journalOf(place)).filter((one) => one.from === "started")).toHaveLength(2);
});

test("a window that a person closes is the end of the session", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place), backend: lineProgram() }, "tmux");
  const pid = Number((await untilUp(place))[1]);
  await killWindow({ server: keepers.tmux, window: place.id });
  // How depends on who is first, the loss of its terminal or our SIGTERM.
  await untilEnded(place);
  expect(isRunning(pid)).toBe(false);
});

test("kill -9 of whoever started it leaves the window open; of the tmux server ends the session", async () => {
  const place = keepers.place();
  const starter = keepers.startElsewhere(place, { terminal: terminalOf(place) }, "tmux");
  await starter.started;
  await untilUp(place);
  await starter.kill();
  const client = await keepers.connect(place);
  expect(await client.deliver({ keys: ["x"] }, "a")).toBe(true);
  await until("it has arrived", async () => (await typed(place)) === "x");
  const run = promisify(execFile);
  const { stdout } = await run("tmux", ["-S", keepers.tmux, "display-message", "-p", "#{pid}"]);
  process.kill(Number(stdout), "SIGKILL");
  await untilEnded(place);
});

test("a keeper that is killed: its program is found by its mark", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place) }, "tmux");
  const pid = Number((await untilUp(place))[1]);
  process.kill((await findKeeper(place))?.pid ?? 0, "SIGKILL");
  await endSession(place, { graceMs: 500 });
  await untilGone(pid);
});

test("a person attaches, sees it, types, and detaches; the program stays", async () => {
  const place = keepers.place();
  await keepers.start(place, { terminal: terminalOf(place) }, "tmux");
  const pid = Number((await untilUp(place))[1]);
  const argv = ["sh", "-c", attachCommand({ server: keepers.tmux, window: place.id })];
  await using terminal = await openTerminal(argv, { cwd: keepers.home, env: process.env });
  await terminal.until("what the program shows", (text) => text.includes(`up ${pid}`));
  await terminal.keys("h", "i");
  await until("it has arrived", async () => (await typed(place)) === "hi");
  expect(isRunning(pid)).toBe(true);
});
