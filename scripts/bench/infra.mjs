// The shared services by both drivers: how long they take to come up and go down, what they need, and a launch on each.
// node scripts/bench/infra.mjs [--n 3] [--launches 7] [--id 80]
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readyDocker } from "../docker-ready.mjs";
import { repository, say, withBench } from "./bench.mjs";
import { copyGuestbook, healthPath, whenHealthy } from "./guestbook.mjs";
import { machineLine, markdown, median } from "./table.mjs";

const { values } = parseArgs({
  options: {
    n: { type: "string", default: "3" },
    launches: { type: "string", default: "7" },
    id: { type: "string", default: "80" },
  },
});
const program = [process.execPath, join(repository, "dist", "bin", "agent-harness.js")];

/** Samples by what they are of, then by driver. */
const times = {};
const memory = {};
const take = (into, what, driver, value) => {
  into[what] ??= {};
  into[what][driver] ??= [];
  into[what][driver].push(value);
};

/** A fresh home, brought up from nothing; then what is asked of infra that is there. */
async function benchInfra(bench, driver) {
  const own = await bench.openHome(driver);
  const timed = async (what, ...words) => take(times, what, driver, (await own.harness(bench.root, ...words)).ms);
  await timed("infra up, from nothing to all healthy", "infra", "up");
  await timed("infra up, when all is up", "infra", "up");
  const status = JSON.parse((await own.harness(bench.root, "infra", "status", "--json")).stdout);
  let sum = 0;
  for (const { service, memoryBytes, pid } of status) {
    const bytes = memoryBytes ?? (await pssOfTree(pid));
    take(memory, service, driver, bytes);
    sum += bytes;
  }
  take(memory, "all four", driver, sum);
  await timed("infra down", "infra", "down");
  await timed("infra up, on the data of before", "infra", "up");
  await own.close();
}

/** What a process and all below it hold, each shared page by its share, in bytes. */
async function pssOfTree(root) {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
  const parents = new Map(pids.map((pid, at) => [pid, stats[at].slice(stats[at].lastIndexOf(")") + 2).split(" ")[1]]));
  const tree = [String(root)];
  for (const known of tree) tree.push(...pids.filter((pid) => parents.get(pid) === known));
  const sizes = tree.map(async (pid) => {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
  });
  return (await Promise.all(sizes)).reduce((sum, one) => sum + one, 0);
}

/** A home with infra up, the pool full and one launch behind it; returns the URL of the guestbook's API too. */
async function warmUp(bench, driver, folder) {
  say(`setup with the driver ${driver}`);
  const own = await bench.openHome(driver);
  await own.harness(folder, "setup");
  await own.harness(folder, "launch", values.id);
  const url = JSON.parse((await own.agent(folder, values.id, "url", "--json")).stdout).api;
  await own.harness(folder, "teardown", values.id);
  return { own, url, driver };
}

/** One warm launch of the guestbook: infra is up and the pool is full. */
async function benchLaunch(bench, { own, url, driver }, folder) {
  await bench.quiet();
  const { from, done } = bench.start([...program, "launch", values.id, "--json"], { cwd: folder, ownEnv: own.env });
  const healthy = await whenHealthy(`${url}${healthPath}`);
  const { code, ms, stderr } = await done;
  if (code !== 0) throw new Error(stderr);
  take(times, "launch of the guestbook to healthy", driver, healthy - from);
  take(times, "launch of the guestbook, the whole command", driver, ms);
  await bench.quiet();
  take(times, "teardown of the guestbook", driver, (await own.harness(folder, "teardown", values.id)).ms);
}

const text = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const megabytes = (bytes) => `${Math.round(bytes / 1024 / 1024)} MB`;

/** The median of each driver with its range, and how compose compares to embedded, the baseline. */
function show(title, samples, format, drivers) {
  const rows = Object.entries(samples).map(([what, by]) => {
    const cells = drivers.flatMap((driver) => {
      const all = by[driver];
      return [format(median(all)), `${format(Math.min(...all))} – ${format(Math.max(...all))}`];
    });
    const [embedded, compose] = drivers.map((driver) => median(by[driver]));
    const ratio = compose === undefined ? "" : `${(compose / embedded).toPrecision(2)} x`;
    return [what, ...cells, by.embedded.length, ratio];
  });
  const columns = drivers.flatMap((driver) => [driver, "range"]);
  console.log(markdown(title, ["", ...columns, "n", "ratio"], rows));
}

await withBench(async (bench) => {
  const docker = await readyDocker(process.env);
  if (!docker.usable) say(`${docker.reason}: only the embedded driver is measured`);
  const drivers = docker.usable ? ["embedded", "compose"] : ["embedded"];
  for (let round = 1; round <= Number(values.n); round += 1) {
    say(`infra, round ${round} of ${values.n}`);
    for (const driver of drivers) await benchInfra(bench, driver);
  }
  const folder = await copyGuestbook(bench);
  const warm = [];
  for (const driver of drivers) warm.push(await warmUp(bench, driver, folder));
  for (let round = 1; round <= Number(values.launches); round += 1) {
    say(`launch, round ${round} of ${values.launches}`);
    for (const one of warm) await benchLaunch(bench, one, folder);
  }
  console.log(machineLine());
  console.log(docker.usable ? docker.reason : `no Docker: ${docker.reason}`);
  show("infra", times, text, drivers);
  show("memory of the services at rest", memory, megabytes, drivers);
});
