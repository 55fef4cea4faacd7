// Many stacks at once: how long until all are healthy, what each takes, and whether they keep out of each other's way.
// node scripts/bench/scale.mjs [--stacks 10] [--first 80]
import { freemem } from "node:os";
import { parseArgs } from "node:util";
import { say, withBench } from "./bench.mjs";
import { healthPath, setupGuestbook, whenHealthy } from "./guestbook.mjs";
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
    urls: Object.values(urls),
    memory: stats.reduce((sum, one) => sum + one.memoryBytes, 0),
    database: answer.database,
    ownId: answer.agentId === id,
  };
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
  await Promise.all(stacks.map(({ urls }) => whenHealthy(urls[0])));
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
        ["memory of a stack (what the machine has less of)", megabytes(taken / ids.length), ""],
        ["every stack healthy", yes(stacks.every((one) => one.healthy)), ""],
        [
          "each answers as itself, from its own database",
          yes(stacks.every((one) => one.ownId) && distinct(stacks.map((one) => one.database))),
          "",
        ],
        ["no port twice", yes(distinct(stacks.flatMap((one) => one.urls))), ""],
        ["teardown of all", seconds(gone.ms), ""],
      ],
    ),
  );
});
