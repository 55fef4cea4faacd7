import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readlink, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { findText } from "./files.ts";
import { findMarked, isAlive } from "./process-tree.ts";
import { findProcesses, openProcesses, type Processes, type ProcessSpec, toApp } from "./processes.ts";

let folder: string;
let home: string;
let processes: Processes;

beforeAll(async () => {
  process.env["AH_TEST_LEAKY"] = "ours";
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-pm2-")));
  home = join(folder, "pm2");
});
afterAll(async () => {
  delete process.env["AH_TEST_LEAKY"];
  const pid = await daemonPid();
  await processes.stopDaemon();
  await processes[Symbol.asyncDispose]();
  await until("the daemon is gone", () => !isAlive(pid));
  expect(await findMarked("AH_TEST_HOME", home)).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await processes.remove((await processes.list()).map((one) => one.name));
});

const daemonPid = async (): Promise<number> => Number(await readFile(join(home, "pm2.pid"), "utf8"));

const app = (name: string, code: string, more: Partial<ProcessSpec> = {}) =>
  toApp({
    name,
    script: process.execPath,
    args: ["-e", code],
    cwd: folder,
    logFile: join(folder, `${name}.log`),
    ...more,
    env: { AH_TEST_HOME: home, ...more.env },
  });

const stay = "setInterval(() => {}, 1000);";
const tell = `console.log(JSON.stringify({ cwd: process.cwd(), args: process.argv.slice(1), env: process.env })); ${stay}`;

/** What the last start of a process told of itself. */
const told = (name: string, matches: (all: { cwd: string; args: string[]; env: Record<string, string> }) => boolean) =>
  until(`${name} tells`, async () => {
    const last = ((await findText(join(folder, `${name}.log`))) ?? "").trim().split("\n").at(-1) ?? "";
    if (!last.endsWith("}")) return undefined;
    const all = JSON.parse(last);
    return matches(all) ? all : undefined;
  });

const statusOf = async (name: string) => (await processes.list()).find((one) => one.name === name);

test("looking for a daemon starts none; opening twice at once starts one, in a clean environment", async () => {
  expect(await findProcesses(home)).toBeUndefined();
  expect(existsSync(home)).toBe(false);
  const [one, two] = await Promise.all([openProcesses(home), openProcesses(home)]);
  processes = one;
  expect(await two.list()).toEqual([]);
  const pid = await daemonPid();
  expect(isAlive(pid)).toBe(true);
  if (process.platform !== "linux") return; // elsewhere the system does not show it
  expect(await readlink(`/proc/${pid}/cwd`)).toBe(home);
  const environment = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0").map((line) => line.split("=")[0]);
  expect(environment).not.toContain("AH_TEST_LEAKY");
  expect(environment.filter((name) => /^(?:npm_|VITEST)/.test(name ?? ""))).toEqual([]);
  expect(environment).toContain("PM2_HOME");
});

test("nothing of our environment reaches a process", async () => {
  await processes.start([app("clean", tell)]);
  const { env, cwd } = await told("clean", () => true);
  expect(env).not.toHaveProperty("AH_TEST_LEAKY");
  expect(Object.keys(env).filter((name) => /^(?:npm_|VITEST)/.test(name))).toEqual([]);
  expect(cwd).toBe(folder);
});

test("values and arguments arrive as they are: quotes, blanks, dollars, line breaks", async () => {
  const odd = {
    QUOTES: `it's "so"`,
    DOLLAR: "$HOME $(date) `date`",
    LINES: "a\nb\r\n",
    BLANK: "  x ",
    EMPTY: "",
  };
  const args = ["-e", tell, "--", ...Object.values(odd), "--flag", "*"];
  await processes.start([app("odd", "", { args, env: odd })]);
  const all = await told("odd", () => true);
  expect(all.env).toMatchObject(odd);
  expect(all.args).toEqual([...Object.values(odd), "--flag", "*"]);
});

test("starting a name again renews its folder, its environment and its arguments", async () => {
  await mkdir(join(folder, "other"));
  await processes.start([app("again", tell, { env: { TURN: "1", ONLY_FIRST: "x" } })]);
  await told("again", ({ env }) => env["TURN"] === "1");
  const first = await statusOf("again");
  await processes.start([app("again", tell, { env: { TURN: "2" }, cwd: join(folder, "other") })]);
  const { env, cwd } = await told("again", (all) => all.env["TURN"] === "2");
  expect(cwd).toBe(join(folder, "other"));
  expect(env).not.toHaveProperty("ONLY_FIRST");
  expect((await processes.list()).filter((one) => one.name === "again")).toHaveLength(1);
  expect(isAlive(first?.pid ?? 0)).toBe(false);
});

test("a crash loop ends as errored, its restarts counted, its last words in the log", async () => {
  await processes.start([app("crash", `console.error("no luck"); process.exit(9);`)]);
  const end = await until("PM2 gives up", async () => {
    const now = await statusOf("crash");
    return now?.status === "errored" && now;
  });
  expect(end).toMatchObject({ restarts: expect.any(Number), logFile: join(folder, "crash.log") });
  expect(end.restarts).toBeGreaterThanOrEqual(2);
  expect(end).not.toHaveProperty("pid");
  // Its log is written by another process, which PM2 does not wait for.
  const said = async () => (await findText(join(folder, "crash.log")))?.includes("no luck");
  await until("its last words to be in the log", said);
});

test("a program that is not there is an error that names the process", async () => {
  const missing = app("missing", "", { script: join(folder, "no-such-program") });
  await expect(processes.start([missing])).rejects.toMatchObject({ code: "PM2_UNAVAILABLE" });
});

test("removing takes the whole tree, with a child that ignores SIGTERM", async () => {
  const deaf = `process.on("SIGTERM", () => {}); process.on("SIGINT", () => {}); ${stay}`;
  const code = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(deaf)}], { stdio: "inherit" }); ${stay}`;
  await processes.start([app("tree", code)]);
  const tree = await until("both run", async () => {
    const all = await findMarked("AH_TEST_HOME", home);
    return all.length === 2 && all;
  });
  await processes.remove(["tree"]);
  await until("both are gone", () => tree.every((one) => !isAlive(one.pid)));
  expect(await statusOf("tree")).toBeUndefined();
});

test("removing unknown names is fine, and does not keep from the known ones", async () => {
  await processes.start([app("known", stay)]);
  await processes.remove(["never-there", "known", "nor-this"]);
  await processes.remove(["known"]);
  await processes.remove([]);
  expect(await processes.list()).toEqual([]);
});

test("one node process serves one home", async () => {
  await expect(openProcesses(join(folder, "pm3"))).rejects.toMatchObject({
    code: "INTERNAL",
    message: `PM2 was loaded for ${home} in this process; it cannot serve ${join(folder, "pm3")} too.`,
  });
  const stray = Number(await findText(join(folder, "pm3/pm2.pid")));
  if (stray > 0) process.kill(stray, "SIGKILL");
});
