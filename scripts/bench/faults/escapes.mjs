// (e) Children that leave their process tree by setsid and a double fork, and do not hear SIGTERM: they end with their stack.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { say, until } from "../bench.mjs";
import { processesOf, tracesOf } from "./eyes.mjs";

/** Of those that a start of the process lets escape, so many live on: one by setsid, and one below a double fork. */
const each = 2;

/** What each way of going away is: the commands, and a fault before them. */
const ways = {
  teardown: async (world, id) => await world.ok("teardown", id),
  "reset, teardown": async (world, id) => {
    const before = await escaped(world, id);
    await world.ok("reset", id);
    await dead(world, before, `reset of agent ${id}`);
    await world.ok("teardown", id);
  },
  "restart, teardown": async (world, id) => {
    const before = await escaped(world, id);
    await world.ok("agent-cli", id, "restart");
    await dead(world, before, `restart of agent ${id}`);
    await world.ok("teardown", id);
  },
  "its root killed, teardown": async (world, id) => {
    await killRoots(world, id);
    await world.ok("teardown", id);
  },
  "PM2's daemon killed, teardown": async (world, id) => {
    process.kill(Number(await readFile(join(world.paths.pm2, "pm2.pid"), "utf8")), "SIGKILL");
    world.tally.kills += 1;
    await world.ok("teardown", id);
    await world.ok("infra", "up");
  },
  "ledger and claim lost, gc": async (world, id) => {
    await rm(join(world.paths.stacks, String(id)), { recursive: true });
    const registry = JSON.parse(await readFile(world.paths.registry, "utf8"));
    delete registry.stacks[id];
    await writeFile(world.paths.registry, JSON.stringify(registry));
    await world.ok("gc");
  },
};

/** Runs the part. */
export async function letEscape(world) {
  await world.ok("setup");
  for (const [way, go] of Object.entries(ways)) {
    for (const id of [81, 82]) await world.ok("launch", id);
    await until(
      `agents have let ${each} escape`,
      async () => (await alive(world, 81)) >= each && (await alive(world, 82)) >= each,
    );
    say(`${way}: ${await alive(world, 81)} have escaped`);
    await go(world, 81);
    await dead(world, await escaped(world, 81), way);
    for (const trace of await tracesOf(world, 81)) world.survived(`${way}: ${trace}`);
    const others = await alive(world, 82);
    if (others < each) world.lost(`${way}: of agent 82, whom it did not concern, ${others} run`);
    await world.ok("teardown", 82);
    await dead(world, await escaped(world, 82), `${way}, teardown of agent 82`);
    await rm(join(world.folder, "escaped"), { recursive: true });
    await mkdir(join(world.folder, "escaped"));
  }
}

/** Who has escaped, by what they wrote down themselves: a pid with its start time, which no mark is needed for. */
async function escaped({ folder }, id) {
  const pids = await readdir(join(folder, "escaped"));
  const all = await Promise.all(
    pids.map(async (pid) => {
      const [agent, started] = (await readFile(join(folder, "escaped", pid), "utf8")).split(" ");
      return { pid, agent, started };
    }),
  );
  return all.filter((one) => one.agent === String(id));
}

async function runs({ pid, started }) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] !== "Z" && fields[19] === started;
}

async function alive(world, id) {
  const running = await Promise.all((await escaped(world, id)).map(runs));
  return running.filter(Boolean).length;
}

async function dead(world, all, when) {
  for (const one of all) if (await runs(one)) world.survived(`${when}: pid ${one.pid}, which had escaped`);
}

/** The processes that PM2 started, so that what they let escape is nobody's child. */
async function killRoots(world, id) {
  for (const one of await processesOf(world.bench)) {
    if (one.id !== String(id) || !/escape\.mjs $/.test(one.command)) continue;
    process.kill(one.pid, "SIGKILL");
    world.tally.kills += 1;
  }
}
