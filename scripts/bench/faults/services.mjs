// (c) Postgres, PM2's daemon and the object store are killed in the middle of launches, resets and teardowns.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { say } from "../bench.mjs";
import { faultsOf, holds, processesOf, tracesOf, write } from "./eyes.mjs";
import { strikeAt } from "./world.mjs";

const bystander = 83;
const victim = 84;

/** Only every third step is struck: each strike costs several commands. */
const stride = 3;

/** How each of them is found and killed, as hard as can be. */
const targets = {
  postgres: async (world) => {
    const [pid] = (await readFile(join(world.paths.postgresData, "postmaster.pid"), "utf8")).split("\n");
    process.kill(Number(pid), "SIGKILL");
  },
  s3: async (world) => await killNamed(world, (command) => command.includes("/infra/servers/s3.js")),
  "PM2's daemon": async (world) => {
    const pid = Number(await readFile(join(world.paths.pm2, "pm2.pid"), "utf8"));
    process.kill(pid, "SIGKILL");
  },
};

async function killNamed(world, fits) {
  for (const { pid, command } of await processesOf(world.bench)) if (fits(command)) process.kill(pid, "SIGKILL");
}

/** Runs the part. */
export async function killServices(world) {
  await world.ok("setup");
  await world.ok("launch", bystander);
  await write(world, bystander, "kept");
  for (const [name, kill] of Object.entries(targets)) {
    for (const verb of ["launch", "reset", "teardown"]) {
      for (let n = 1; await strikeOnce(world, { name, kill, verb, n }); n += stride);
    }
  }
  await world.ok("teardown", bystander, "--no-snapshot");
  for (const trace of await tracesOf(world, bystander)) world.survived(`at the end: ${trace}`);
}

/** One kill after the n-th step of a command; false when the command has no such step. */
async function strikeOnce(world, { name, kill, verb, n }) {
  if (verb !== "launch") await world.ok("launch", victim);
  const ended = await strikeAt(world, [verb, victim], n, () => kill(world));
  if (!ended.struck) {
    await world.ok("teardown", victim, "--no-snapshot");
    return false;
  }
  const when = `${name} killed after ${ended.step} of ${verb} (exit ${ended.code})`;
  say(when);
  // Whatever became of it: the next commands bring back what is down, and lose nothing.
  await world.ok("infra", "up");
  for (const id of [bystander, victim]) await world.ok("launch", id);
  for (const id of [bystander, victim]) {
    for (const fault of await faultsOf(world, id)) world.lost(`${when}: ${fault}`);
  }
  const { row, object } = await holds(world, bystander, "kept");
  if (!row || !object) world.lost(`${when}: agent ${bystander} has lost data: row ${row}, object ${object}`);
  await world.ok("teardown", victim, "--no-snapshot");
  for (const trace of await tracesOf(world, victim)) world.survived(`${when}: ${trace}`);
  return true;
}
