import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Provider } from "../sessions/provider.ts";
import { packageRoot } from "../shared/paths.ts";
import { isRunning, listProcesses } from "../shared/process-tree.ts";
import { fakeProvider } from "./fake-provider.mjs";
import { openTrial } from "./provider-trial.ts";
import { until } from "./until.ts";

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp("/tmp/ah-td-");
  vi.stubEnv("TMPDIR", temporary);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(temporary, { recursive: true, force: true });
});

/** A program in a terminal that tells its pid and stays, with another one below it that has lost its terminal. */
const stays: Provider = {
  ...fakeProvider("pi"),
  ways: {
    ...fakeProvider("pi").ways,
    tmux: {
      ...fakeProvider("pi").ways.tmux,
      plan: ({ cwd, env }) => ({
        keeper: {
          terminal: {
            argv: ["sh", "-c", "setsid sleep 611 & echo $! > below; echo $$ > own; exec sleep 611"],
            cwd,
            env,
          },
        },
        files: [],
        state: {},
      }),
      read: (state) => ({ state, updates: [] }),
    },
  },
};

test("what an interrupted trial leaves is taken down: its tmux server, its program, and what that started", async () => {
  await using trial = await openTrial(stays, { runIn: "tmux" });
  expect(trial.home).toContain(`${temporary}/ah-trial-`);
  const pidIn = async (name: string): Promise<number> =>
    Number(await readFile(join(trial.cwd, name), "utf8").catch(() => ""));
  await until("the program is up", async () => (await pidIn("own")) > 0);
  const server = (await listProcesses()).find(({ command }) => command.includes(join(trial.folder, "tmux")))?.pid ?? 0;
  const left = [server, await pidIn("own"), await pidIn("below")];
  expect(left.map(isRunning)).toEqual([true, true, true]);
  await promisify(execFile)(process.execPath, [join(packageRoot(), "scripts", "take-down.mjs"), temporary]);
  await until("all of it has ended", () => !left.some(isRunning));
});
