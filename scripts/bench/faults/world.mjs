// Where a part of the faults bench happens: a harness of its own, a small project, commands that can be killed, and the
// tally of what went wrong.
import { join } from "node:path";
import { Client as S3 } from "minio";
import pg from "pg";
import { resolveInfra } from "../../../dist/infra/index.js";
import { configSchema } from "../../../dist/shared/config-schema.js";
import { homePaths } from "../../../dist/shared/paths.js";
import { repository, say } from "../bench.mjs";
import { writeProject } from "./project.mjs";

/** A command that has not ended by then hangs. */
const limitMs = 240_000;

/** The ids that the bench uses. */
export const ids = [81, 82, 83, 84, 85, 86, 87, 88, 89, 90];

/** Opens the world of one part; `close` ends its connections. */
export async function openWorld(bench, options) {
  // An engine on this machine is not to be drawn into this.
  bench.env.AGENT_HARNESS_INFRA_DRIVER = "embedded";
  const folder = join(bench.root, "project");
  await writeProject(folder, options);
  await bench.run(["git", "init", "--quiet", folder]);
  const paths = homePaths(bench.home);
  const tally = { operations: 0, kills: 0, survivors: [], lost: [], from: performance.now() };
  const world = {
    bench,
    folder,
    paths,
    tally,
    infra: () => resolveInfra(paths, configSchema.parse({}).infra, bench.env),
  };
  return {
    ...world,
    begin: (words) => begin(world, words),
    run: (...words) => begin(world, words).done,
    ok: (...words) => ok(world, words),
    sql: (database, text, values) => sql(world, database, text, values),
    s3: () => s3(world),
    lost: (text) => note(tally.lost, "LOST", text),
    survived: (text) => note(tally.survivors, "SURVIVED", text),
  };
}

function note(list, what, text) {
  list.push(text);
  say(`${what}: ${text}`);
}

/** Starts `agent-harness …`, or `agent-cli …` when the words say so; one that hangs is ended and counts as lost. */
function begin({ bench, folder, tally }, words) {
  tally.operations += 1;
  const [program, argv] = words[0] === "agent-cli" ? [words[0], words.slice(1)] : ["agent-harness", words];
  const started = bench.start([process.execPath, join(repository, "dist", "bin", `${program}.js`), ...argv], {
    cwd: folder,
  });
  const timer = setTimeout(() => {
    note(tally.lost, "LOST", `${words.join(" ")} did not end within ${limitMs / 1000} s`);
    started.child.kill("SIGKILL");
  }, limitMs);
  return { ...started, done: started.done.finally(() => clearTimeout(timer)) };
}

/** A command that has to succeed; when it does not, that is lost work. */
async function ok(world, words) {
  const ended = await begin(world, words).done;
  if (ended.code !== 0) note(world.tally.lost, "LOST", `${words.join(" ")} ended with ${ended.code}: ${ended.stderr}`);
  return ended;
}

/** Drops every snapshot, also those that teardowns keep. */
export async function dropSnapshots(world) {
  const { stdout } = await world.ok("snapshot", "list", "--everywhere", "--json");
  for (const { id, name } of JSON.parse(stdout)) await world.ok("snapshot", "drop", String(id), name);
}

/**
 * Runs a command and does `fault` when the n-th line of a finished step appears on its stderr; without one of its own, the
 * fault is SIGKILL. `struck` says whether there was such a line.
 */
export async function strikeAt(world, words, n, fault) {
  const started = world.begin(words);
  let seen = "";
  let struck;
  started.child.stderr.on("data", (text) => {
    seen += text;
    if (struck !== undefined || stepLines(seen).length < n) return;
    struck = fault === undefined ? Promise.resolve(started.child.kill("SIGKILL")) : fault();
    world.tally.kills += 1;
  });
  const ended = await started.done;
  await struck;
  return { ...ended, struck: struck !== undefined, step: stepLines(seen)[n - 1]?.trim() };
}

const stepLines = (text) =>
  text
    .split("\n")
    .slice(0, -1)
    .filter((line) => /^ {2}[✔✖] /.test(line));

/** Asks Postgres by a client of our own. */
async function sql(world, database, text, values) {
  const { host, port, user, password } = (await world.infra()).postgres;
  const client = new pg.Client({ host, port, user, password, database, connectionTimeoutMillis: 10_000 });
  // One that is ended while it waits says so here as well as to whoever asked.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function s3(world) {
  const { url, accessKey, secretKey, region } = (await world.infra()).s3;
  const { hostname, port } = new URL(url);
  return new S3({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey,
    secretKey,
    region,
    pathStyle: true,
  });
}
