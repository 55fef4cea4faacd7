// Faults: kills, random operations, services that die, a full disk, children that escape. Nothing may survive, nothing be lost.
// node scripts/bench/faults.mjs [--parts a,b,c,d,e] [--operations 500] [--seed n] [--lanes 6]
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

const rows = [];
let faults = 0;
for (const letter of values.parts.split(",")) {
  const { name, run, prepare, project } = parts[letter];
  say(`(${letter}) ${name}`);
  await withBench(async (bench) => {
    if ((await prepare?.(bench)) === false) {
      rows.push([`${name}: NOT RUN, nothing can be mounted here`, "", "", "", "", ""]);
      return;
    }
    const world = await openWorld(bench, project);
    await run(world);
    const { operations, kills, survivors, lost, from } = world.tally;
    faults += survivors.length + lost.length;
    const time = `${Math.round((performance.now() - from) / 1000)} s`;
    rows.push([name, operations, kills, survivors.length, lost.length, time]);
  });
}
console.log(machineLine());
console.log(markdown("faults", ["", "operations", "kills", "survivors", "lost", "time"], rows));
if (faults > 0) process.exitCode = 1;
