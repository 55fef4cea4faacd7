// (a) SIGKILL after every step of setup, launch, teardown, reset, and of snapshot save, restore and drop. The next command mends it.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { say } from "../bench.mjs";
import { faultsOf, holds, rowsOf, straysOf, tracesOf, write } from "./eyes.mjs";
import { schema } from "./project.mjs";
import { dropSnapshots, strikeAt } from "./world.mjs";

/** No command has so many steps; one that seems to is one that a kill never reaches. */
const mostSteps = 30;

/** Runs the part. */
export async function killAfterEveryStep(world) {
  await setups(world);
  const lanes = [
    lane(world, 81, launchAgain),
    lane(world, 82, launchTorn),
    lane(world, 83, teardownAgain),
    lane(world, 84, teardownOver),
    lane(world, 85, resetAgain),
    lane(world, 86, resetOver),
    lane(world, 87, saves),
    lane(world, 88, restores),
    lane(world, 89, drops),
  ];
  await Promise.all(lanes);
  await dropSnapshots(world);
  for (const stray of await straysOf(world)) world.survived(stray);
}

/** One command killed after its first step, its second … until it ends before the kill comes. */
async function lane(world, id, cycle) {
  for (let n = 1; n <= mostSteps; n += 1) {
    const { struck, step } = await cycle(world, id, n);
    say(`${cycle.name}: ${struck ? `killed after ${step}` : `has ${n - 1} steps`}`);
    if (!struck) break;
    if (n === mostSteps) world.lost(`${cycle.name}: more than ${mostSteps} steps`);
  }
  await world.ok("teardown", id, "--no-snapshot");
  await gone(world, id, cycle.name);
}

async function gone(world, id, when) {
  for (const trace of await tracesOf(world, id)) world.survived(`${when}: ${trace}`);
}

async function healthy(world, id, when) {
  for (const fault of await faultsOf(world, id)) world.lost(`${when}: ${fault}`);
}

/** The data has to be there (or gone), both halves of it; `either`: no half without the other. */
async function has(world, id, text, when, wanted = true) {
  const { row, object } = await holds(world, id, text);
  const fits = wanted === "either" ? row === object : row === wanted && object === wanted;
  if (!fits) world.lost(`${when}: agent ${id}, ${text}: row ${row}, object ${object}, wanted ${wanted}`);
}

async function setups(world) {
  for (let n = 1; n <= mostSteps; n += 1) {
    await writeFile(join(world.folder, "schema.sql"), schema(n));
    await world.ok("infra", "down");
    const { struck, step } = await strikeAt(world, ["setup"], n);
    say(`setup: ${struck ? `killed after ${step}` : `has ${n - 1} steps`}`);
    await world.ok("setup");
    const builds = await world.sql("postgres", "select datname from pg_database where datname ~ '^ah_build_'");
    for (const { datname } of builds) world.survived(`setup killed after ${step}: ${datname}`);
    await world.ok("launch", "90");
    const rows = await rowsOf(world, 90);
    if (rows.join() !== `seed ${n}`) world.lost(`setup killed after ${step}: the stack has ${rows}, not seed ${n}`);
    await world.ok("teardown", "90");
    await gone(world, 90, `setup killed after ${step}`);
    if (!struck) return;
  }
}

async function launchAgain(world, id, n) {
  const killed = await strikeAt(world, ["launch", id], n);
  await world.ok("launch", id);
  await healthy(world, id, `launch killed after ${killed.step}`);
  await world.ok("teardown", id);
  await gone(world, id, `launch killed after ${killed.step}, launch, teardown`);
  return killed;
}

async function launchTorn(world, id, n) {
  const killed = await strikeAt(world, ["launch", id], n);
  await world.ok("teardown", id);
  await gone(world, id, `launch killed after ${killed.step}, teardown`);
  return killed;
}

/** What a stack wrote is kept when it is torn down, also by two teardowns of which the first was killed. */
async function teardownAgain(world, id, n) {
  const text = await written(world, id, n);
  const killed = await strikeAt(world, ["teardown", id], n);
  await world.ok("teardown", id);
  await gone(world, id, `teardown killed after ${killed.step}, teardown`);
  await world.ok("launch", id);
  await world.ok("snapshot", "restore", id, "before-teardown");
  await has(world, id, text, `teardown killed after ${killed.step}, teardown, launch, restore`);
  return killed;
}

/** Launched over, it goes on with its data or has them in the snapshot. */
async function teardownOver(world, id, n) {
  const text = await written(world, id, n);
  const killed = await strikeAt(world, ["teardown", id], n);
  await world.ok("launch", id);
  const when = `teardown killed after ${killed.step}, launch`;
  await healthy(world, id, when);
  await has(world, id, text, when, "either");
  if (!(await holds(world, id, text)).row) await world.ok("snapshot", "restore", id, "before-teardown");
  await has(world, id, text, `${when}, restore`);
  return killed;
}

async function resetAgain(world, id, n) {
  const text = await written(world, id, n);
  const killed = await strikeAt(world, ["reset", id], n);
  await world.ok("reset", id);
  await healthy(world, id, `reset killed after ${killed.step}, reset`);
  await has(world, id, text, `reset killed after ${killed.step}, reset`, false);
  return killed;
}

async function resetOver(world, id, n) {
  const text = await written(world, id, n);
  const killed = await strikeAt(world, ["reset", id], n);
  await world.ok("launch", id);
  await healthy(world, id, `reset killed after ${killed.step}, launch`);
  await has(world, id, text, `reset killed after ${killed.step}, launch`, "either");
  return killed;
}

async function saves(world, id, n) {
  const text = await written(world, id, n);
  const killed = await strikeAt(world, ["snapshot", "save", id, "one", "--force"], n);
  const when = `save killed after ${killed.step}`;
  await has(world, id, text, when);
  await world.ok("launch", id);
  await healthy(world, id, when);
  await world.ok("snapshot", "save", id, "one", "--force");
  await world.ok("reset", id);
  await has(world, id, text, `${when}, save, reset`, false);
  await world.ok("snapshot", "restore", id, "one");
  await has(world, id, text, `${when}, save, reset, restore`);
  await world.ok("snapshot", "drop", id, "one");
  await noSnapshot(world, id, when);
  return killed;
}

async function restores(world, id, n) {
  const text = await written(world, id, n);
  await world.ok("snapshot", "save", id, "one", "--force");
  await world.ok("reset", id);
  const killed = await strikeAt(world, ["snapshot", "restore", id, "one"], n);
  const when = `restore killed after ${killed.step}`;
  await world.ok("launch", id);
  await healthy(world, id, `${when}, launch`);
  await has(world, id, text, `${when}, launch`, "either");
  await world.ok("snapshot", "restore", id, "one");
  await has(world, id, text, `${when}, launch, restore`);
  await world.ok("snapshot", "drop", id, "one");
  await noSnapshot(world, id, when);
  return killed;
}

async function drops(world, id, n) {
  const text = await written(world, id, n);
  await world.ok("snapshot", "save", id, "one", "--force");
  const killed = await strikeAt(world, ["snapshot", "drop", id, "one"], n);
  const when = `drop killed after ${killed.step}`;
  await has(world, id, text, when);
  // One that is there still can be dropped; whatever is left of one that is not goes with the next save.
  await world.ok("snapshot", "save", id, "one", "--force");
  await world.ok("snapshot", "drop", id, "one");
  await noSnapshot(world, id, when);
  return killed;
}

/** A stack that is up and has written something; returns what. */
async function written(world, id, n) {
  const text = `agent ${id} written ${n}`;
  await world.ok("launch", id);
  await write(world, id, text);
  return text;
}

/** Nothing of the snapshots that a cycle made; `before-teardown` is another matter. */
async function noSnapshot(world, id, when) {
  const left = (await straysOf(world)).filter((one) => new RegExp(`_${id}_|agent-${id}-snap`).test(one));
  for (const one of left) world.survived(`${when}: ${one}`);
}
