// What there is, found without the harness's ledgers: by Postgres, the object store, /proc, PM2, the folders, the ports.
import { readdir, readFile, readlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { findProcesses } from "../../../dist/shared/processes.js";
import { portsOf } from "./project.mjs";

const present = async (work) =>
  await work.catch((error) => (error.code === "ENOENT" ? undefined : Promise.reject(error)));

/** Every process that runs in this world's folders, or has its home in its environment: pid, agent id, command. */
export async function processesOf({ root }) {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const all = await Promise.all(
    pids.map(async (pid) => {
      const read = (file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
      const [environ, command] = [await read("environ"), (await read("cmdline")).replaceAll("\0", " ")];
      // A zombie has neither.
      if (environ === "") return [];
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
      const value = (name) =>
        environ
          .split("\0")
          .find((one) => one.startsWith(`${name}=`))
          ?.slice(name.length + 1);
      if (!cwd.startsWith(root) && !environ.includes(root)) return [];
      return [
        {
          pid: Number(pid),
          id: value("AGENT_ID"),
          mark: value("AGENT_HARNESS_MARK"),
          home: value("PM2_HOME"),
          command,
        },
      ];
    }),
  );
  return all.flat();
}

const isListening = (port) =>
  new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(socket.destroy() && true));
    socket.once("error", () => resolve(false));
  });

/** The names that PM2 knows. */
async function supervisedIn(home) {
  const pm2 = await findProcesses(home);
  try {
    return ((await pm2?.list()) ?? []).map((one) => one.name);
  } finally {
    await pm2?.[Symbol.asyncDispose]();
  }
}

/** Everything of one agent's stack that is there, but for its snapshots; empty when nothing is. */
export async function tracesOf(world, id) {
  const { folder, paths } = world;
  const databases = await world.sql(
    "postgres",
    "select datname from pg_database where datname = $1 or datname like $2",
    [`agent_${id}`, `ah\\_copy\\_${id}\\_%`],
  );
  const bucket = await (await world.s3()).bucketExists(`agent-${id}`);
  const running = (await processesOf(world.bench)).filter(
    (one) => one.id === String(id) || one.mark?.endsWith(`/agent-${id}`),
  );
  const supervised = (await supervisedIn(paths.pm2)).filter((name) => name.startsWith(`agent-${id}-`));
  const files = (await readdir(folder)).filter((name) => new RegExp(`agent\\.${id}\\b`).test(name));
  const ledger = await present(readdir(join(paths.stacks, String(id))));
  const registry = JSON.parse((await present(readFile(paths.registry, "utf8"))) ?? '{"stacks":{}}');
  const ports = portsOf(id);
  const listening = await Promise.all(ports.map(isListening));
  return [
    ...databases.map((row) => `database ${row.datname}`),
    ...(bucket ? [`bucket agent-${id}`] : []),
    ...running.map((one) => `pid ${one.pid} ${one.command}`),
    ...supervised.map((one) => `PM2 process ${one}`),
    ...files.map((name) => `file ${name}`),
    ...(ledger === undefined ? [] : [`folder stacks/${id}: ${ledger.join(", ")}`]),
    ...(registry.stacks[id] === undefined ? [] : [`claim on ${id}`]),
    ...ports.filter((_, at) => listening[at]).map((port) => `listener on ${port}`),
  ];
}

/** What is wrong with a stack that should be healthy; empty when nothing is. */
export async function faultsOf(world, id) {
  const faults = [];
  const expect = (condition, text) => condition || faults.push(`agent ${id}: ${text}`);
  const answer = await fetch(`http://localhost:${portsOf(id)[0]}/`)
    .then((response) => response.json())
    .catch((error) => ({ error: String(error.cause ?? error) }));
  expect(answer.id === String(id) && answer.database === `agent_${id}`, `answers ${JSON.stringify(answer)}`);
  const traces = await tracesOf(world, id);
  for (const wanted of [
    "database agent_",
    "bucket ",
    "claim on",
    `file .env.agent.${id}`,
    "folder stacks",
    "file ecosystem",
  ])
    expect(
      traces.some((one) => one.startsWith(wanted)),
      `no ${wanted.trim()}`,
    );
  expect(
    traces.filter((one) => one.startsWith("PM2 process")).length === 2,
    `PM2 has ${traces.filter((one) => one.startsWith("PM2"))}`,
  );
  const rows = await rowsOf(world, id).catch((error) => [String(error)]);
  expect(rows[0]?.startsWith("seed "), `its first row is ${rows[0]}`);
  return faults;
}

/** The texts that a stack's database holds. */
export const rowsOf = async (world, id) =>
  (await world.sql(`agent_${id}`, "select text from notes order by id")).map((row) => row.text);

/** The keys that a stack's bucket holds. */
export async function keysOf(world, bucket) {
  const keys = [];
  for await (const one of (await world.s3()).listObjects(bucket, "", true)) keys.push(one.name);
  return keys.filter((key) => key !== ".agent-harness.json");
}

/** Gives a stack a row and an object that say the same. */
export async function write(world, id, text) {
  await world.sql(`agent_${id}`, "insert into notes (text) values ($1)", [text]);
  await (await world.s3()).putObject(`agent-${id}`, text, text);
}

/** Whether a stack has both the row and the object; throws nothing when it has no database. */
export async function holds(world, id, text) {
  const rows = await rowsOf(world, id).catch(() => []);
  const keys = await keysOf(world, `agent-${id}`).catch(() => []);
  return { row: rows.includes(text), object: keys.includes(text) };
}

/** Databases and buckets of the harness that belong to no stack and to nothing that is kept. */
export async function straysOf(world) {
  const rows = await world.sql(
    "postgres",
    "select datname from pg_database where datname ~ '^ah_(build|copy|trash|snap)_'",
  );
  const buckets = await (await world.s3()).listBuckets();
  return [
    ...rows.map((row) => `database ${row.datname}`),
    ...buckets.filter((one) => /^agent-\d+-snap-/.test(one.name)).map((one) => `bucket ${one.name}`),
  ];
}
