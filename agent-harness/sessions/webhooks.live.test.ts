import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import type { NewDelivery, Store } from "../store/index.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openReceiver, type Receiver } from "../testing/receiver.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { until } from "../testing/until.ts";
import { openWebhooks, type Webhooks } from "./webhooks.ts";

let postgres: TestPostgres;
let here: TestStore;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  here = await openTestStore(postgres);
});
afterEach(() => here[Symbol.asyncDispose]());

async function work(store: Store): Promise<Webhooks> {
  const folder = await mkdtemp(join(tmpdir(), "ah-hooks-"));
  const webhooks = await openWebhooks({
    queue: store.deliveries,
    paths: { webhookSecret: join(folder, "secret") },
    env: {},
    version: "1.2.3",
    pollMs: 10,
    firstRetryMs: 10,
  });
  onTestFinished(async () => {
    await webhooks[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  return webhooks;
}

const delivery = (receiver: Receiver, id: string): NewDelivery => ({
  id,
  event: "agent_completed",
  project: "shop",
  agentId: "a",
  url: receiver.url,
  token: "geheim",
  body: JSON.stringify({ id }),
});

const idsOf = ({ received }: Receiver): string[] => received.map(({ headers }) => String(headers["webhook-id"])).sort();

test("of two daemons each delivery is made by one, once, and only what was committed is delivered", async () => {
  await using receiver = await openReceiver();
  const [one, two] = [await here.open(), await here.open()];
  await Promise.all([work(one), work(two)]);
  const wanted = Array.from({ length: 200 }, (_, at) => `d${String(at).padStart(3, "0")}`);
  for (const id of wanted) {
    const refused = one.transaction(async (tx) => {
      await tx.deliveries.add(delivery(receiver, `${id}-rolled-back`));
      throw new Error("rolled back");
    });
    await expect(refused).rejects.toThrow("rolled back");
    await two.transaction(async (tx) => {
      await tx.deliveries.add(delivery(receiver, id));
      await tx.append([{ type: "agent_terminal_finalized", project: "shop", agentId: "a", data: { deliveryId: id } }]);
    });
  }
  await until("all are delivered", async () => (await one.deliveries.count()).delivered === wanted.length, 20_000);
  expect(idsOf(receiver)).toEqual(wanted);
  expect(receiver.received.every(({ headers }) => headers["authorization"] === "Bearer geheim")).toBe(true);
});

test("what a killed daemon had claimed is delivered by another one, under the same id", async () => {
  await using receiver = await openReceiver();
  const store = await here.open();
  await store.deliveries.add(delivery(receiver, "d1"));
  const [claimed] = await store.deliveries.claim(1, 200);
  expect(claimed?.id).toBe("d1");
  await work(store);
  const done = await until("it is delivered", async () => {
    const found = await store.deliveries.find("d1");
    return found?.state === "delivered" && found;
  });
  expect(done).toMatchObject({ attempts: 2, log: [{ attempt: 2, status: 200 }] });
  expect(idsOf(receiver)).toEqual(["d1"]);
});

test("a receiver that fails for a while gets it at last, and every attempt is in the log", async () => {
  await using receiver = await openReceiver((response, _, count) => {
    response.statusCode = count < 3 ? 500 : 200;
    response.end();
  });
  const store = await here.open();
  await work(store);
  await store.deliveries.add(delivery(receiver, "d1"));
  await until("it is delivered", async () => (await store.deliveries.find("d1"))?.state === "delivered");
  expect((await store.deliveries.find("d1"))?.log).toMatchObject([
    { attempt: 1, status: 500, error: "HTTP 500" },
    { attempt: 2, status: 500, error: "HTTP 500" },
    { attempt: 3, status: 200 },
  ]);
});
