import { existsSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import {
  journalOf,
  type Keepers,
  lineProgram,
  linesOf,
  openKeepers,
  untilEnded,
  untilLine,
} from "../testing/keepers.ts";
import { until } from "../testing/until.ts";
import { connectKeeper } from "./keeper-client.ts";
import { findKeeper } from "./session-folder.ts";

let keepers: Keepers;
beforeEach(async () => {
  keepers = await openKeepers();
});
afterEach(async () => await keepers[Symbol.asyncDispose]());

const backend = lineProgram();

test("kill -9 of whoever started it leaves program, keeper and journal going", async () => {
  const place = keepers.place();
  const starter = keepers.startElsewhere(place, { backend: lineProgram("ticks") });
  await starter.started;
  const client = await keepers.connect(place);
  await starter.kill();
  const { length } = await linesOf(place, "stdout");
  await until("it ticks on", async () => (await linesOf(place, "stdout")).length > length + 5);
  expect(await client.write("still there", "a")).toBe(true);
  await untilLine(place, "got still there");
});

const stages = ["order", "log", "lock", "keeper", "socket", "journal"] as const;

test.each(stages)(
  "whoever starts it is killed once there is its %s: started again, the program runs once",
  async (stage) => {
    const place = keepers.place();
    const starter = keepers.startElsewhere(place, { backend }, "headless", "run-1");
    starter.started.catch(() => undefined);
    await until(`its ${stage}`, () => existsSync(place[stage]));
    await starter.kill();
    expect(await keepers.start(place, { backend }, "headless", "run-1")).toEqual({ run: "run-1", state: "running" });
    const client = await keepers.connect(place);
    await client.write("here", "a");
    await untilLine(place, "got here");
    expect((await journalOf(place)).filter((one) => one.from === "started")).toHaveLength(1);
  },
);

test("SIGTERM to the keeper ends all, SIGHUP nothing", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.write("deaf", "a");
  await client.write("escape", "b");
  const escaped = Number((await untilLine(place, /^escaped/)).split(" ")[1]);
  const keeper = await findKeeper(place);
  process.kill(keeper?.pid ?? 0, "SIGHUP");
  await client.write("after", "c");
  await untilLine(place, "got after");
  process.kill(keeper?.pid ?? 0, "SIGTERM");
  expect(await untilEnded(place)).toEqual({ code: null, signal: "SIGKILL" });
  expect(isRunning(escaped)).toBe(false);
});

test("a keeper that was killed: the next one ends what it left, and goes on with the journal", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const up = Number((await untilLine(place, /^up/)).split(" ")[1]);
  const keeper = await findKeeper(place);
  process.kill(keeper?.pid ?? 0, "SIGKILL");
  await until("the keeper is gone", async () => (await findKeeper(place)) === undefined);
  // A process of several threads is called dead before the last of them has let go of its sockets.
  const refused = async (): Promise<unknown> =>
    await connectKeeper(place.socket).then(
      async (client) => await client[Symbol.asyncDispose]().then(() => false),
      (error: unknown) => error,
    );
  expect(await until("nobody listens", refused)).toMatchObject({ code: "KEEPER_GONE" });
  expect(isRunning(up)).toBe(true);
  await keepers.start(place, { backend });
  expect(isRunning(up)).toBe(false);
  expect((await journalOf(place)).map((one) => one.from).filter((one) => one === "started")).toHaveLength(2);
});

test("there is one keeper a session, whoever starts it at the same time", async () => {
  const place = keepers.place();
  const both = await Promise.all([1, 2].map(() => keepers.start(place, { backend }, "headless", "run-1")));
  expect(both.map((one) => one.state)).toEqual(["running", "running"]);
  expect((await journalOf(place)).filter((one) => one.from === "started")).toHaveLength(1);
  await expect(keepers.start(place, { backend })).rejects.toMatchObject({ code: "LOCK_HELD" });
});
