// Many stacks at once: how long until all are healthy, what each takes, and whether they keep out of each other's way,
// also while some are torn down and launched again and one is asked without a pause.
// node scripts/bench/scale.mjs [--stacks 10] [--first 80]
import { readFile } from "node:fs/promises";
import { freemem } from "node:os";
import { parseArgs } from "node:util";
import { say, withBench } from "./bench.mjs";
import { processesOf } from "./faults/eyes.mjs";
import { healthPath, setupGuestbook, statusOf, whenHealthy } from "./guestbook.mjs";
import { machineLine, markdown, median } from "./table.mjs";

const { values } = parseArgs({
  options: { stacks: { type: "string", default: "10" }, first: { type: "string", default: "80" } },
});
const ids = Array.from({ length: Number(values.stacks) }, (_, at) => String(Number(values.first) + at));
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const megabytes = (bytes) => `${Math.round(bytes / 1024 / 1024)} MB`;

const timed = async (work) => {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
};

/** What each stack says of itself: its health, memory, ports and database. */
async function look(bench, folder, id) {
  const json = async (...words) => JSON.parse((await bench.agent(folder, id, ...words, "--json")).stdout);
  const urls = await json("url");
  const { healthy } = await json("health");
  const stats = await json("stats");
  const answer = await (await fetch(`${urls.api}${healthPath}`)).json();
  return {
    healthy,
    api: urls.api,
    urls: Object.values(urls),
    memory: stats.reduce((sum, one) => sum + one.memoryBytes, 0),
    database: answer.database,
    ownId: answer.agentId === id,
  };
}

/** What the processes of each stack take of memory, what they share with others by halves (Pss), in bytes. */
async function pssOfStacks(bench) {
  const running = await processesOf(bench);
  return await Promise.all(
    ids.map(async (id) => {
      const own = running.filter((one) => one.id === id && one.mark !== undefined);
      const rollups = own.map(({ pid }) => readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => ""));
      const kilobytes = (await Promise.all(rollups)).map((text) => Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0));
      return kilobytes.reduce((sum, one) => sum + one, 0) * 1024;
    }),
  );
}

/** Asks a URL over and over, four at a time, until the work is done; how often, how often in vain, how long at the most. */
async function askWhile(url, work) {
  const asked = { requests: 0, failed: 0, slowestMs: 0 };
  let done = false;
  const client = async () => {
    while (!done) {
      const start = performance.now();
      if ((await statusOf(url)) !== 200) asked.failed += 1;
      asked.requests += 1;
      asked.slowestMs = Math.max(asked.slowestMs, performance.now() - start);
    }
  };
  const clients = [client(), client(), client(), client()];
  await work().finally(() => (done = true));
  await Promise.all(clients);
  return asked;
}

const distinct = (all) => new Set(all).size === all.length;

await withBench(async (bench) => {
  const folder = await setupGuestbook(bench);
  say("one stack first, for the baseline");
  const alone = await timed(() => bench.harness(folder, "launch", ids[0]));
  await bench.harness(folder, "teardown", ids[0]);
  await bench.quiet();
  const freeBefore = freemem();
  say(`launching ${ids.length} stacks at once`);
  const all = await timed(() => Promise.all(ids.map((id) => bench.harness(folder, "launch", id))));
  await bench.quiet();
  const taken = freeBefore - freemem();
  say("looking at each");
  const stacks = [];
  for (const id of ids) stacks.push(await look(bench, folder, id));
  await Promise.all(stacks.map(({ api }) => whenHealthy(`${api}${healthPath}`)));
  const pss = await pssOfStacks(bench);
  const others = ids.slice(1, 1 + Math.min(5, ids.length - 1));
  say(`asking agent ${ids[0]} while ${others.join(", ")} are torn down and launched, twice`);
  const asked = await askWhile(`${stacks[0].api}${healthPath}`, async () => {
    for (const verb of ["teardown", "launch", "teardown", "launch"])
      await Promise.all(others.map((id) => bench.harness(folder, verb, id)));
  });
  const gone = await timed(() => bench.harness(folder, "teardown-all"));
  console.log(machineLine());
  const yes = (condition) => (condition ? "yes" : "NO");
  console.log(
    markdown(
      `scale, ${ids.length} stacks at once`,
      ["", "value", "ratio to one"],
      [
        ["one stack alone, launch", seconds(alone.ms), "baseline"],
        ["all healthy (the slowest launch)", seconds(all.ms), `${(all.ms / alone.ms).toFixed(1)} x`],
        ["median launch", seconds(median(all.result.map((one) => one.ms))), ""],
        ["memory of a stack (RSS of its trees, median)", megabytes(median(stacks.map((one) => one.memory))), ""],
        ["memory of a stack (PSS of its processes, median)", megabytes(median(pss)), ""],
        ["memory of a stack (what the machine has less of)", megabytes(taken / ids.length), ""],
        ["every stack healthy", yes(stacks.every((one) => one.healthy)), ""],
        [
          "each answers as itself, from its own database",
          yes(stacks.every((one) => one.ownId) && distinct(stacks.map((one) => one.database))),
          "",
        ],
        ["no port twice", yes(distinct(stacks.flatMap((one) => one.urls))), ""],
        [
          `requests to one while ${others.length} others are torn down and launched, twice`,
          `${asked.requests}, failed: ${asked.failed}`,
          `slowest ${Math.round(asked.slowestMs)} ms`,
        ],
        ["teardown of all", seconds(gone.ms), ""],
      ],
    ),
  );
});
