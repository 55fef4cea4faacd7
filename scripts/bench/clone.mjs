// How long it takes to give an agent a database: a ready clone of the pool, the chosen strategy, plain CREATE DATABASE.
// node scripts/bench/clone.mjs [--sizes 10,124,1024] (MB) [--n 7]
import { join } from "node:path";
import { parseArgs } from "node:util";
import { copyDatabase, dropDatabase, listDatabases, stampStatement } from "../../dist/infra/databases.js";
import { resolveInfra } from "../../dist/infra/index.js";
import { claimDatabase, claimWith, refillPool } from "../../dist/infra/pool.js";
import { withSql } from "../../dist/infra/sql.js";
import { chooseStrategy, readServerFacts } from "../../dist/infra/strategy.js";
import { ensureTemplateDatabase } from "../../dist/infra/template-db.js";
import { configSchema } from "../../dist/shared/config-schema.js";
import { poolPrefix } from "../../dist/shared/names.js";
import { homePaths } from "../../dist/shared/paths.js";
import { repository, say, withBench } from "./bench.mjs";
import { machineLine, timeTable } from "./table.mjs";

const { values } = parseArgs({
  options: { sizes: { type: "string", default: "10,124,1024" }, n: { type: "string", default: "7" } },
});
/** Bytes of a row with its place in the index, and of a database without any table. */
const rowBytes = 287;
const emptyMb = 8;

/** A template database of about this size, built as the harness builds one. */
async function buildTemplate(infra, logFile, sizeMb) {
  const rows = Math.max(1, Math.round(((sizeMb - emptyMb) * 1024 * 1024) / rowBytes));
  const fill = `CREATE TABLE filling AS SELECT i AS id, repeat(md5(i::text), 7) AS text FROM generate_series(1, ${rows}) AS i;
    ALTER TABLE filling ADD PRIMARY KEY (id)`;
  const script = `const { Client } = require("pg"); const client = new Client();
    client.connect().then(() => client.query(${JSON.stringify(fill)})).then(() => client.end())`;
  const { host, port, user, password } = infra.postgres;
  const server = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password };
  const source = {
    project: `bench-${sizeMb}`,
    repository,
    folder: repository,
    inputs: [],
    extensions: [],
    steps: [{ words: [process.execPath, "-e", script], cwd: repository }],
    argvFor: (step) => step.words,
    envFor: (database) => ({ ...server, PGDATABASE: database, PATH: process.env.PATH }),
  };
  const fingerprint = sizeMb.toString(16).padStart(64, "0").split("").reverse().join("");
  const progress = () => undefined;
  const { name } = await ensureTemplateDatabase({
    server: infra.postgres,
    machine: infra.machine,
    source,
    fingerprint,
    logFile,
    progress,
  });
  return { name, fingerprint };
}

/** Clones made and dropped again, each after a checkpoint, so that none pays for what another left unwritten. */
async function timeCopy(sql, template, strategy) {
  await sql.query("CHECKPOINT");
  const start = performance.now();
  if (strategy === undefined) await sql.query(`CREATE DATABASE bench_copy TEMPLATE ${template}`);
  else await copyDatabase(sql, template, "bench_copy", strategy);
  const ms = performance.now() - start;
  await dropDatabase(sql, "bench_copy");
  return ms;
}

/** Claims the one ready clone and puts it back into the pool under its old name. */
async function timeClaim(sql, infra, fingerprint, claim) {
  const start = performance.now();
  const claimed = await claim();
  const ms = performance.now() - start;
  if (!claimed.warm) throw new Error("the pool was empty");
  const pooled = `${poolPrefix(fingerprint)}ready`;
  await sql.query(`ALTER DATABASE bench_claim RENAME TO ${pooled}`);
  await sql.query(stampStatement(pooled, { machine: infra.machine, kind: "pool", fingerprint }));
  return ms;
}

async function benchSize(sql, infra, paths, sizeMb) {
  say(`${sizeMb} MB: building`);
  const { name, fingerprint } = await buildTemplate(infra, join(paths.home, "bench.log"), sizeMb);
  const [{ sizeBytes }] = await listDatabases(sql, name);
  const { strategy, reason } = chooseStrategy(await readServerFacts(sql, infra.postgres.reflink), sizeBytes, "auto");
  const { machine } = infra;
  await refillPool(infra.postgres, { machine, fingerprint, strategy, size: 1 });
  const plain = "CREATE DATABASE … TEMPLATE";
  const chosen = `the chosen strategy, ${strategy}`;
  const cold = "warm claim, with its connection";
  const open = "warm claim on an open connection";
  const times = { [plain]: [], [chosen]: [], [cold]: [], [open]: [] };
  const options = { machine, fingerprint, strategy, name: "bench_claim", stamp: { id: 99 } };
  // Large copies are few: they differ by far more than they vary.
  const copies = sizeMb > 500 ? 3 : Number(values.n);
  for (let round = 0; round < Number(values.n); round += 1) {
    say(`${sizeMb} MB: round ${round + 1} of ${values.n}`);
    if (round < copies) times[plain].push(await timeCopy(sql, name, undefined));
    if (round < copies) times[chosen].push(await timeCopy(sql, name, strategy));
    times[cold].push(await timeClaim(sql, infra, fingerprint, () => claimDatabase(infra.postgres, options)));
    times[open].push(await timeClaim(sql, infra, fingerprint, () => claimWith(sql, options)));
  }
  const target = { text: "<= 15 ms", met: (ms) => ms <= 15 };
  const title = `clone, ${Math.round(sizeBytes / 1024 / 1024)} MB (${strategy}: ${reason})`;
  console.log(timeTable(title, times, { baseline: plain, targets: { [cold]: target, [open]: target } }));
}

await withBench(async (bench) => {
  say("infra up");
  await bench.harness(bench.root, "infra", "up");
  const paths = homePaths(bench.home);
  const infra = await resolveInfra(paths, configSchema.parse({}).infra, bench.env);
  console.log(machineLine());
  for (const size of values.sizes.split(",").map(Number)) {
    await withSql(infra.postgres, "postgres", (sql) => benchSize(sql, infra, paths, size));
  }
});
