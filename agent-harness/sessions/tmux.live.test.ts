import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Keepers, lineProgram, openKeepers } from "../testing/keepers.ts";
import { until } from "../testing/until.ts";
import { attachCommand, hasWindow, killWindow, newWindow, paste, sendKeys, tmuxAvailable } from "./tmux.ts";

let keepers: Keepers;
beforeEach(async () => {
  keepers = await openKeepers();
});
afterEach(async () => await keepers[Symbol.asyncDispose]());

const env = { TERM: "", PATH: "/bin" };

/** A window with a program that writes down every byte that it gets. */
async function open(window: string, mode = "terminal") {
  const target = { server: keepers.tmux, window };
  const file = join(keepers.home, `${window}.txt`);
  await newWindow({ ...target, argv: lineProgram(mode, file).argv, cwd: keepers.home });
  await until("the program is up", async () => (await readFile(file, "utf8").catch(() => "")).startsWith("up"));
  const typed = async (): Promise<string> => {
    const [, ...chunks] = (await readFile(file, "utf8")).trim().split("\n");
    return chunks.map((chunk) => JSON.parse(chunk) as string).join("");
  };
  const close = async (): Promise<void> => {
    await killWindow(target);
    await until("the window is closed", async () => !(await hasWindow(target)));
  };
  return { target, typed, close };
}

test("a window comes, is there once, and goes", async () => {
  const { target, close } = await open("codex-brave-otter");
  expect(await hasWindow(target)).toBe(true);
  // The beginning of a name is not the name.
  expect(await hasWindow({ ...target, window: "codex" })).toBe(false);
  await close();
  await close();
});

test("a folder's name is a name, whatever tmux could make of it", async () => {
  const cwd = join(keepers.home, "#(touch made) #S ##");
  await mkdir(cwd);
  const file = join(keepers.home, "where.txt");
  const argv = [process.execPath, "-e", `require("fs").writeFileSync(${JSON.stringify(file)}, process.cwd())`];
  await newWindow({ server: keepers.tmux, window: "w", argv, cwd });
  await until("it to be told", async () => (await readFile(file, "utf8").catch(() => "")) === cwd);
  expect(existsSync(join(keepers.home, "made"))).toBe(false);
});

test("one more window comes beside one that a person keeps open", async () => {
  const { target, close } = await open("codex-brave-otter");
  const file = join(keepers.home, "second.txt");
  await newWindow({ ...target, argv: lineProgram("raw", file).argv, cwd: keepers.home });
  await until("its program is up", async () => (await readFile(file, "utf8").catch(() => "")).startsWith("up"));
  await close();
});

const texts = {
  plain: "fix the test",
  quotes: 'it\'s "$HOME" `x` \\ %3 #{pane_id} ~',
  semicolons: "a; b;\n;",
  dash: "-- -l --help",
  lines: "first\n\n  second\twith a tab\n",
  letters: "Grüße, 世界 🦦 e\u0301",
  long: "a long text ".repeat(10_000),
};

test.each(Object.entries(texts))("a text is pasted as it is: %s", async (_, text) => {
  const { target, typed, close } = await open("paste");
  await paste(target, text);
  const wanted = `\u001b[200~${text.replaceAll("\n", "\r")}\u001b[201~\r`;
  await until("it has arrived", async () => (await typed()).length >= wanted.length);
  expect(await typed()).toBe(wanted);
  await close();
});

test("a text cannot end its own paste", async () => {
  const { target, typed, close } = await open("paste");
  await paste(target, "a\u001b[201~\u0003b");
  await until("Enter has arrived", async () => (await typed()).endsWith("\r"));
  expect(await typed()).toBe("\u001b[200~a[201~b\u001b[201~\r");
  await close();
});

test("keys are pressed by their names", async () => {
  const { target, typed, close } = await open("keys", "raw");
  await sendKeys(target, ["Escape"]);
  await sendKeys(target, ["C-c", "Up", "-", ";"]);
  await until("they have arrived", async () => (await typed()).endsWith(";"));
  expect(await typed()).toBe("\u001b\u0003\u001b[A-;");
  await close();
});

test("what a person scrolled up in, or chose from, gets our keys and texts all the same", async () => {
  const { target, typed, close } = await open("scrolled", "terminal");
  const pane = "=scrolled:";
  const tmux = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)("tmux", ["-S", target.server, ...args])).stdout;
  await tmux("copy-mode", "-t", pane);
  await sendKeys(target, ["Escape"]);
  await tmux("copy-mode", "-t", pane);
  await tmux("choose-tree", "-t", pane);
  await paste(target, "go on");
  await until("they have arrived", async () => (await typed()).endsWith("\r"));
  expect(await typed()).toBe("\u001b\u001b[200~go on\u001b[201~\r");
  expect((await tmux("display-message", "-p", "-t", pane, "#{pane_in_mode}")).trim()).toBe("0");
  await close();
});

test("what is typed where nobody is fails with its name, and a window that is not there is no error", async () => {
  const nobody = { server: keepers.tmux, window: "nobody" };
  await expect(paste(nobody, "x")).rejects.toMatchObject({ code: "TMUX_ERROR" });
  expect(await hasWindow(nobody)).toBe(false);
  await killWindow(nobody);
  expect(attachCommand(nobody)).toBe(`tmux -S ${keepers.tmux} attach-session -t '=nobody'`);
});

test("many windows at once, the first of which starts the server", async () => {
  const all = await Promise.all(Array.from({ length: 8 }, (_, at) => open(`many-${at}`)));
  await Promise.all(all.map(({ target }, at) => paste(target, `to ${at}`)));
  for (const [at, { typed }] of all.entries()) {
    await until("it has arrived", async () => (await typed()).endsWith("\r"));
    expect(await typed()).toBe(`\u001b[200~to ${at}\u001b[201~\r`);
  }
  for (const { close } of all) await close();
});

test("without tmux it says so", async () => {
  const path = process.env["PATH"];
  process.env["PATH"] = "/nowhere";
  try {
    expect(await tmuxAvailable()).toBe(false);
    const target = { server: keepers.tmux, window: "x" };
    await expect(newWindow({ ...target, argv: ["true"], cwd: "/", env })).rejects.toMatchObject({
      code: "TMUX_UNAVAILABLE",
    });
  } finally {
    process.env["PATH"] = path;
  }
});
