// Faults: kills, random operations, services that die, a full disk, children that escape. Nothing may survive, nothing be lost.
// node scripts/bench/faults.mjs [--parts a,b,c,d,e] [--operations 500] [--seed n] [--lanes 6]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { say, withBench } from "./bench.mjs";
import { fillDisk, mountDisk } from "./faults/disk.mjs";
import { letEscape } from "./faults/escapes.mjs";
import { killAfterEveryStep } from "./faults/kills.mjs";
import { doAtRandom } from "./faults/random.mjs";
import { killServices } from "./faults/services.mjs";
import { openWorld } from "./faults/world.mjs";
import { machineLine, markdown } from "./table.mjs";

const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "a,b,c,d,e" },
    operations: { type: "string", default: "500" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
    lanes: { type: "string", default: "6" },
    row: { type: "boolean", default: false },
  },
});
const random = { seed: Number(values.seed), count: Number(values.operations), lanes: Number(values.lanes) };

const parts = {
  a: { name: "SIGKILL after every step", run: killAfterEveryStep },
  b: { name: `random operations, seed ${random.seed}`, run: (world) => doAtRandom(world, random) },
  c: { name: "Postgres, PM2, object store killed", run: killServices },
  d: { name: "disk full", run: fillDisk, prepare: mountDisk },
  e: { name: "children that escape", run: letEscape, project: { escapes: true } },
};

/** Runs one part and prints its row as JSON. */
async function runPart(letter) {
  const { name, run, prepare, project } = parts[letter];
  say(`(${letter}) ${name}`);
  await withBench(async (bench) => {
    if ((await prepare?.(bench)) === false) {
      console.log(JSON.stringify({ row: [`${name}: NOT RUN, nothing can be mounted here`], faults: 0 }));
      return;
    }
    const world = await openWorld(bench, project);
    await run(world);
    const { operations, kills, survivors, lost, from } = world.tally;
    const time = `${Math.round((performance.now() - from) / 1000)} s`;
    const row = [name, operations, kills, survivors.length, lost.length, time];
    console.log(JSON.stringify({ row, faults: survivors.length + lost.length }));
  });
}

/** Runs a part in a process of its own, since one process can talk to one PM2 only; undefined when it broke off. */
async function startPart(letter) {
  const argv = [process.argv[1], "--row", "--parts", letter];
  for (const name of ["operations", "seed", "lanes"]) argv.push(`--${name}`, values[name]);
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  // It cleans up by itself; a terminal tells it of Ctrl-C as well as us.
  const pass = () => child.kill("SIGTERM");
  process.on("SIGTERM", pass);
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  await once(child, "close");
  process.off("SIGTERM", pass);
  return child.exitCode === 0 ? JSON.parse(text) : undefined;
}

async function runAll(letters) {
  let stopped = false;
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopped = true));
  const rows = [];
  for (const letter of letters) {
    const ended = stopped ? undefined : await startPart(letter);
    rows.push(ended?.row ?? [`${parts[letter].name}: BROKEN OFF`]);
    if (ended?.faults !== 0) process.exitCode = 1;
  }
  console.log(machineLine());
  const whole = rows.map((row) => Array.from({ length: 6 }, (_, at) => row[at] ?? ""));
  console.log(markdown("faults", ["", "operations", "kills", "survivors", "lost", "time"], whole));
}

if (values.row) await runPart(values.parts);
else await runAll(values.parts.split(","));
