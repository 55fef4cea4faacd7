import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startTimeOf } from "../shared/process-tree.ts";
import {
  findKeeper,
  findKeeperRecord,
  readOrder,
  sessionFolder,
  writeKeeperRecord,
  writeOrder,
} from "./session-folder.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-folder-"));
});
afterEach(() => rm(home, { recursive: true }));

test("the socket lies in the folder where its path fits, else where it always does", () => {
  expect(sessionFolder("/var/lib/agent-harness", "codex-brave-otter").socket).toBe(
    "/var/lib/agent-harness/sessions/codex-brave-otter/keeper.sock",
  );
  const long = "/h".repeat(40);
  const [one, other] = ["a".repeat(40), "b".repeat(40)].map((id) => sessionFolder(long, id).socket);
  expect(Buffer.byteLength(one ?? "")).toBeLessThanOrEqual(103);
  expect(one).not.toBe(other);
});

test("an order comes back as it was written, and one that is not there is said", async () => {
  const place = sessionFolder(home, "pi-calm-fox");
  const order = { session: place.id, run: "r1", socket: place.socket, plan: { follow: ["/x/*.jsonl"] } };
  await writeOrder(place, order);
  expect(await readOrder(place.folder)).toEqual(order);
  await writeFile(place.order, '{"run":');
  await expect(readOrder(place.folder)).rejects.toMatchObject({ code: "STATE_UNREADABLE" });
});

test("a keeper lives when its process is the one that was written down", async () => {
  const place = sessionFolder(home, "pi-calm-fox");
  expect(await findKeeperRecord(place)).toBeUndefined();
  const mine = { pid: process.pid, started: (await startTimeOf(process.pid)) ?? "", run: "r1" };
  await writeKeeperRecord(place, mine);
  expect(await findKeeper(place)).toEqual(mine);
  // The pid is another process's by now.
  await writeKeeperRecord(place, { ...mine, started: "1" });
  expect(await findKeeper(place)).toBeUndefined();
  expect(await findKeeperRecord(place)).toMatchObject({ run: "r1" });
  await writeFile(place.keeper, (await readFile(place.keeper, "utf8")).slice(0, 9));
  expect(await findKeeper(place)).toBeUndefined();
});
