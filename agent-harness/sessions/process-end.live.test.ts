import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sessionFolderVariable, sessionVariable } from "../shared/names.ts";
import { isRunning, startTimeOf } from "../shared/process-tree.ts";
import { type Keepers, lineProgram, openKeepers, untilGone, untilLine } from "../testing/keepers.ts";
import { until } from "../testing/until.ts";
import { endProcesses, endSession, findProcesses } from "./process-end.ts";
import { findKeeper, type SessionFolder, sessionFolder } from "./session-folder.ts";

let keepers: Keepers;
let spawned: ChildProcess[];
let pids: number[];
beforeEach(async () => {
  keepers = await openKeepers();
  spawned = [];
  pids = [];
});
afterEach(async () => {
  for (const child of spawned) child.kill("SIGKILL");
  for (const pid of pids) if (isRunning(pid)) process.kill(pid, "SIGKILL");
  await Promise.all(pids.map(untilGone));
  await keepers[Symbol.asyncDispose]();
});

const stay = "setInterval(() => {}, 1000);";
const deaf = `process.on("SIGTERM", () => {}); console.log(process.pid); ${stay}`;

/** Code that runs other code in a process of its own. */
const inChild = (code: string, options: string): string =>
  `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(code)}], { stdio: "inherit", ${options} });`;

/** Starts code as a session's program would be, and gives the pids that it and what it starts print. */
async function start(folder: string, code: string, count: number): Promise<number[]> {
  const env = { [sessionVariable]: "x", [sessionFolderVariable]: folder };
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"], detached: true, env });
  spawned.push(child);
  const found: number[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => found.push(Number(line)));
  await until(`${count} pids`, () => found.length === count);
  pids.push(...found);
  return found;
}

test("two forks and a session of its own: found by the mark, ended with SIGKILL, others left alone", async () => {
  const { folder } = keepers.place();
  const escaping = inChild(
    `${inChild(deaf, "detached: true")} setTimeout(() => process.exit(), 100);`,
    "detached: true",
  );
  const [escaped = 0] = await start(folder, `${escaping} ${stay}`, 1);
  const [other = 0] = await start(`${folder}0`, deaf, 1);
  spawned[0]?.kill("SIGKILL");
  await once(spawned[0] as ChildProcess, "exit");
  await endProcesses({ folder }, { graceMs: 100 });
  await untilGone(escaped);
  expect(isRunning(other)).toBe(true);
});

test("what lost the mark is found in the tree below one that has it, and in its process group", async () => {
  const { folder } = keepers.place();
  const bare = inChild(deaf, "env: {}");
  const both = await start(folder, `${inChild(deaf, "env: {}, detached: true")} ${bare} ${stay}`, 2);
  expect((await findProcesses({ folder })).map((one) => one.pid)).toEqual(expect.arrayContaining(both));
  await endProcesses({ folder }, { graceMs: 100 });
  await Promise.all(both.map(untilGone));
});

test("what starts others while it is ended does not get away", async () => {
  const { folder } = keepers.place();
  // A new one each time that it is told to end, in a session of its own.
  const hydra = `const grow = () => { ${inChild(deaf, "detached: true")} }; process.on("SIGTERM", grow); grow(); ${stay}`;
  await start(folder, hydra, 1);
  await endProcesses({ folder }, { graceMs: 300 });
  expect(await findProcesses({ folder })).toEqual([]);
});

test("what is to stay stays, with all that carries no mark", async () => {
  const { folder } = keepers.place();
  const [kept = 0] = await start(folder, deaf, 1);
  await endProcesses({ folder, except: [kept] }, { graceMs: 100 });
  expect(isRunning(kept)).toBe(true);
  expect(await startTimeOf(process.pid)).toBeDefined();
});

test("a session is ended by its keeper, without its keeper, and when it never ran", async () => {
  const [first, second] = [keepers.place(), keepers.place()];
  const escaped = await Promise.all([first, second].map(withEscaped));
  const keeper = (await findKeeper(second))?.pid ?? 0;
  // It holds on, and answers nobody.
  process.kill(keeper, "SIGSTOP");
  process.kill((await findKeeper(first))?.pid ?? 0, "SIGKILL");
  await endSession(first, { graceMs: 100 });
  const end = endSession(second, { graceMs: 100 });
  await endSession(sessionFolder(keepers.home, "never"), { graceMs: 100 });
  await end;
  await Promise.all([...escaped, keeper].map(untilGone));
  expect(await findProcesses({ folder: first.folder })).toEqual([]);
});

async function withEscaped(place: SessionFolder): Promise<number> {
  await keepers.start(place, { backend: lineProgram() });
  const client = await keepers.connect(place);
  await client.write("escape", "a");
  return Number((await untilLine(place, /^escaped/)).split(" ")[1]);
}
