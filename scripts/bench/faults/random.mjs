// (b) Random operations on ten ids from several processes at once, some of them killed, against an oracle of what must exist.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { say } from "../bench.mjs";
import { faultsOf, holds, straysOf, tracesOf, write } from "./eyes.mjs";
import { plantForeign } from "./foreign.mjs";
import { finalStates, mustHold } from "./oracle.mjs";
import { schema } from "./project.mjs";
import { dropSnapshots, ids } from "./world.mjs";

/** How often each operation comes, and whether it may be killed. */
const operations = [
  { verb: "launch", weight: 30, kill: true, words: (id) => ["launch", id] },
  { verb: "teardown", weight: 16, kill: true, words: (id) => ["teardown", id] },
  { verb: "write", weight: 16 },
  { verb: "reset", weight: 9, kill: true, words: (id) => ["reset", id] },
  { verb: "restart", weight: 7, kill: true, words: (id) => ["agent-cli", id, "restart"] },
  { verb: "save", weight: 6, kill: true, words: (id) => ["snapshot", "save", id, "one", "--force"] },
  { verb: "restore", weight: 4, kill: true, words: (id) => ["snapshot", "restore", id, "one"] },
  { verb: "gc", weight: 5, kill: true, words: () => ["gc"] },
  { verb: "setup", weight: 4, kill: true, words: () => ["setup"] },
  { verb: "infra", weight: 3, kill: true, words: () => ["infra", "up"] },
];

/** What may be answered when there is nothing to do it with. */
const refusals = /error (STACK_NOT_FOUND|SNAPSHOT_NOT_FOUND|STACK_UNFINISHED)\b/;

/** The share of the commands that are killed. */
const killed = 0.1;

/** Numbers from 0 to 1 that follow from a seed. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function choose(random) {
  let left = random() * operations.reduce((sum, one) => sum + one.weight, 0);
  return operations.find((one) => {
    left -= one.weight;
    return left < 0;
  });
}

/** Runs the part: `count` operations, `lanes` at a time; which ones follows from `seed`, how they meet does not. */
export async function doAtRandom(world, { seed, count, lanes }) {
  await world.ok("setup");
  const foreign = await plantForeign(world);
  const events = [];
  let left = count;
  const lane = async (_, number) => {
    const random = randomFrom(seed * 1000 + number);
    while (left > 0) {
      left -= 1;
      events.push(await operate(world, random, count - left));
      if (left % 50 === 0) say(`${count - left} of ${count} operations`);
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
    await world.bench.quiet();
    await judge(world, events);
    await takeAll(world);
    for (const touched of await foreign.look()) world.lost(touched);
  } finally {
    await foreign.remove();
  }
}

/** Does one operation and returns what the oracle has to know of it. */
async function operate(world, random, number) {
  const { verb, words, kill } = choose(random);
  const id = ids[Math.floor(random() * ids.length)];
  const killAfter = kill && random() < killed ? 100 + random() * 2500 : undefined;
  if (verb === "setup" && random() < 0.3) await writeFile(join(world.folder, "schema.sql"), schema(number));
  const from = performance.now();
  const event = (outcome, more) => ({ verb, id, from, to: performance.now(), outcome, ...more });
  if (verb === "write") {
    world.tally.operations += 1;
    const text = `written ${number}`;
    const written = await write(world, id, text).then(
      () => "ok",
      () => "refused",
    );
    return event(written, { text });
  }
  const started = world.begin(words(id));
  const ended = new AbortController();
  if (killAfter !== undefined) {
    void delay(killAfter, undefined, { signal: ended.signal }).then(
      () => started.child.kill("SIGKILL"),
      () => undefined,
    );
  }
  const { code, stderr } = await started.done;
  ended.abort();
  if (code === null) {
    world.tally.kills += 1;
    return event("killed");
  }
  if (code === 0) return event("ok");
  if (refusals.test(stderr)) return event("refused");
  world.lost(`operation ${number}, ${words(id).join(" ")}, ended with ${code}: ${stderr}`);
  return event("failed");
}

/** Compares every id with what the oracle says. */
async function judge(world, events) {
  for (const id of ids) {
    const own = events.filter((one) => one.id === id);
    const states = finalStates(own);
    say(`agent ${id}: ${[...states].join(" or ")}`);
    if (states.has("any")) await world.ok("launch", id);
    const traces = await tracesOf(world, id);
    const isUp = states.has("any") || (states.has("up") && (!states.has("down") || traces.length > 0));
    if (!isUp) for (const trace of traces) world.survived(`agent ${id}, torn down: ${trace}`);
    if (isUp) for (const fault of await faultsOf(world, id)) world.lost(fault);
    for (const text of mustHold(own)) {
      const { row, object } = await holds(world, id, text);
      if (!row || !object) world.lost(`agent ${id}: ${text}: row ${row}, object ${object}`);
    }
  }
}

/** At the end everything goes, and nothing of any id is left, nor of any snapshot. */
async function takeAll(world) {
  await world.ok("teardown-all", "--no-snapshot");
  await dropSnapshots(world);
  await world.ok("gc");
  await world.bench.quiet();
  for (const id of ids) for (const trace of await tracesOf(world, id)) world.survived(`at the end: ${trace}`);
  for (const stray of await straysOf(world)) world.survived(`at the end: ${stray}`);
}
