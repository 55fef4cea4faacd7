// Things of somebody else with names like ours: whatever the harness does, they stay as they are.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { repository } from "../bench.mjs";
import { keysOf } from "./eyes.mjs";

const databases = ["agent_95", "ah_pool_mine", "customers"];
const buckets = ["agent-95", "somebody"];
const names = ["notes.txt", ".env.agent.95"];

/** Plants them; infra runs. Returns `look`, which names what was touched, and `remove`. */
export async function plantForeign(world) {
  const s3 = await world.s3();
  for (const name of databases) {
    await world.sql("postgres", `create database ${name}`);
    await world.sql(name, "create table own as select 42 as answer");
  }
  for (const name of buckets) {
    await s3.makeBucket(name);
    await s3.putObject(name, "own", "42");
  }
  for (const name of names) await writeFile(join(world.folder, name), "somebody's own\n");
  const pm2 = await otherSupervisor(world);
  const look = async () => [...(await lookAtData(world)), ...(await pm2.look())];
  return { look, remove: pm2.remove };
}

async function lookAtData(world) {
  const touched = [];
  for (const name of databases) {
    const rows = await world.sql(name, "select answer from own").catch((error) => [{ answer: error.message }]);
    if (rows[0]?.answer !== 42) touched.push(`foreign database ${name}: ${rows[0]?.answer}`);
  }
  for (const name of buckets) {
    const keys = await keysOf(world, name).catch((error) => [error.message]);
    if (keys.join() !== "own") touched.push(`foreign bucket ${name}: ${keys}`);
  }
  for (const name of names) {
    const text = await readFile(join(world.folder, name), "utf8").catch((error) => error.message);
    if (text !== "somebody's own\n") touched.push(`foreign file ${name}: ${text}`);
  }
  return touched;
}

/** A PM2 of another home, whose process is called as one of ours would be. */
async function otherSupervisor({ bench }) {
  const PM2_HOME = join(bench.root, "other-pm2");
  const run = (...words) =>
    bench.start([process.execPath, join(repository, "node_modules", "pm2", "bin", "pm2"), ...words], {
      cwd: bench.root,
      ownEnv: { ...bench.env, PM2_HOME },
      cleaning: true,
    }).done;
  const pids = async () => (await run("pid", "agent-81-api")).stdout.trim();
  await writeFile(join(bench.root, "own.mjs"), "setInterval(() => undefined, 1000);\n");
  await run("start", join(bench.root, "own.mjs"), "--name", "agent-81-api");
  const before = await pids();
  return {
    look: async () => {
      const now = await pids();
      return now === before && before !== "" ? [] : [`foreign PM2 process agent-81-api: pid ${before}, now ${now}`];
    },
    remove: () => run("kill"),
  };
}
