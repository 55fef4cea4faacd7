// Another process on a test's store, from the built program. What it does is in STORE_PROCESS: { ...OpenStoreOptions, do, … }
import { setTimeout as delay } from "node:timers/promises";

const { do: doing, project = "p", count = 0, ...options } = JSON.parse(process.env.STORE_PROCESS);
const say = (text) => process.stdout.write(`${text}\n`);
const random = (below) => Math.floor(Math.random() * below);
const news = (from, many) =>
  Array.from({ length: many }, (_, at) => ({
    type: "output",
    project,
    agentId: `${project}-${(from + at) % 5}`,
    data: { n: from + at },
  }));

const tasks = {
  // Appends events in batches of 1 to 20; of some the transaction stays open for a while after the ids are there.
  append: async (store) => {
    for (let n = 0; n < count; ) {
      const events = news(n, Math.min(1 + random(20), count - n));
      if (random(20) > 0) await store.events.append(events);
      else {
        await store.transaction(async (tx) => {
          await tx.append(events);
          await delay(random(20));
        });
      }
      n += events.length;
    }
  },
  // Stays in the middle of a transaction for ever.
  hold: (store) =>
    store.transaction(async (tx) => {
      await tx.projects.add({ name: "held", cwd: "/" });
      await tx.append(news(0, 3));
      say("holding");
      await new Promise(() => setInterval(() => undefined, 1000));
    }),
};

const { openStore } = await import("../../dist/store/index.js");
const store = await openStore(options);
say("open");
await tasks[doing]?.(store);
await store[Symbol.asyncDispose]();
