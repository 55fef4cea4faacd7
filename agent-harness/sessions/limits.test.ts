import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startTimeOf } from "../shared/process-tree.ts";
import { until } from "../testing/until.ts";
import { startKeeper } from "./keeper.ts";
import { connectKeeper } from "./keeper-client.ts";
import { sessionFolder, writeKeeperRecord } from "./session-folder.ts";
import { hasWindow } from "./tmux.ts";

/* Nobody waits for ever for a keeper or a tmux that was stopped. */

let folder: string;
let server: Server | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-l-"));
});
afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
  await rm(folder, { recursive: true });
});

test("a keeper that does not answer is as good as none, for all who asked", async () => {
  const asked: string[] = [];
  const socket = join(folder, "k.sock");
  server = createServer((one) => one.on("data", (chunk) => asked.push(String(chunk))).on("error", () => undefined));
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
  const client = await connectKeeper(socket);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const asks = [client.status(), client.deliver({ paste: "x" }, "k"), client.end({ graceMs: 100 })];
  const ends = Promise.all(asks.map((one) => one.catch((error: unknown) => error)));
  vi.advanceTimersByTime(10_000);
  for (const error of await ends) {
    expect(error).toMatchObject({ code: "KEEPER_GONE", message: expect.stringContaining("no answer within 10 s") });
  }
  await expect(client.status()).rejects.toMatchObject({ code: "KEEPER_GONE" });
});

test("a tmux that does not answer is ended, and that is told", async () => {
  const program = join(folder, "tmux");
  await writeFile(program, "#!/bin/sh\nexec sleep 1000\n");
  await chmod(program, 0o755);
  vi.stubEnv("PATH", `${folder}${delimiter}${process.env["PATH"]}`);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const ends = hasWindow({ server: join(folder, "s"), window: "x" }).catch((error: unknown) => error);
  vi.advanceTimersByTime(15_000);
  expect(await ends).toMatchObject({ code: "TIMEOUT", message: "tmux did not answer list-panes within 15 s." });
});

test("what became of a start is not waited for without end", async () => {
  const place = sessionFolder(folder, "codex-brave-otter");
  await mkdir(place.folder, { recursive: true });
  // It lives, and nobody listens.
  await writeKeeperRecord(place, { pid: process.pid, started: (await startTimeOf(process.pid)) ?? "", run: "r" });
  vi.useFakeTimers({ toFake: ["Date"] });
  const ends = startKeeper(place, {}, { runIn: "headless", tmux: join(folder, "t"), run: "r" }).catch(
    (error: unknown) => error,
  );
  const state = { over: false };
  void ends.then(() => {
    state.over = true;
  });
  const goOn = (): boolean => {
    vi.setSystemTime(Date.now() + 61_000);
    return state.over;
  };
  // Its own limit goes by the same clock; that of the test ends it.
  await until("it gives up", goOn, Number.POSITIVE_INFINITY);
  expect(await ends).toMatchObject({ code: "TIMEOUT", leftBehind: "The keeper may still come up." });
});
