// From `agent-harness launch` to an API that answers, against the same API started by hand.
// node scripts/bench/launch.mjs [--n 7] [--id 80]
import { join } from "node:path";
import { parseArgs } from "node:util";
import { end, freePorts, repository, say, withBench } from "./bench.mjs";
import { healthPath, setupGuestbook, whenHealthy } from "./guestbook.mjs";
import { machineLine, timeTable } from "./table.mjs";

const { values } = parseArgs({
  options: { n: { type: "string", default: "7" }, id: { type: "string", default: "80" } },
});

/** An environment as launch gives it, with a database and a port of its own: what one would set up by hand. */
async function handMade(bench, folder) {
  const [template] = JSON.parse((await bench.harness(folder, "template-db", "status", "--json")).stdout);
  const { withSql } = await import("../../dist/infra/sql.js");
  const own = JSON.parse((await bench.agent(folder, values.id, "env", "--json")).stdout);
  const [port, inspect, frontend] = await freePorts(3);
  const server = { host: own.PGHOST, port: Number(own.PGPORT), user: own.PGUSER, password: own.PGPASSWORD };
  await withSql(server, "postgres", (sql) => sql.query(`CREATE DATABASE by_hand TEMPLATE ${template.name}`));
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...own };
  return { ...env, PGDATABASE: "by_hand", PORT: String(port), FE_PORT: String(frontend), INSPECT: String(inspect) };
}

/** Starts commands of the guestbook at once; returns the ms until the API, the first of them, answers. */
async function byHand(bench, folder, env, commands) {
  const started = commands.map(([cwd, ...argv]) => bench.start(argv, { cwd: join(folder, cwd), ownEnv: env }));
  const at = await whenHealthy(`http://127.0.0.1:${env.PORT}${healthPath}`);
  for (const { child } of started) end(child);
  await Promise.all(started.map(({ done }) => done));
  return at - started[0].from;
}

function handCommands(folder, env) {
  const bin = (name) => [process.execPath, join(folder, "node_modules", ".bin", name)];
  return {
    api: ["packages/backend", process.execPath, "dist/main.js"],
    asConfigured: [
      "packages/backend",
      process.execPath,
      "--enable-source-maps",
      `--inspect=127.0.0.1:${env.INSPECT}`,
      "dist/main.js",
    ],
    others: [
      ["packages/frontend", ...bin("vite")],
      [".", ...bin("tsc"), "--build", "--watch", "--preserveWatchOutput", "packages/common"],
    ],
  };
}

async function launchOnce(bench, folder, url, spans) {
  await bench.quiet();
  const program = [process.execPath, join(repository, "dist", "bin", "agent-harness.js")];
  const { from, done } = bench.start([...program, "launch", values.id, "--json"], { cwd: folder });
  const healthy = await whenHealthy(`${url}${healthPath}`);
  const { code, ms, stderr } = await done;
  if (code !== 0) throw new Error(stderr);
  spans["launch to healthy"].push(healthy - from);
  spans["launch, the whole command with its settle window"].push(ms);
  await bench.quiet();
  spans["launch again of a stack that is up"].push((await bench.harness(folder, "launch", values.id)).ms);
  await bench.quiet();
  spans.teardown.push((await bench.harness(folder, "teardown", values.id)).ms);
}

const bare = "the API by hand (node dist/main.js)";
await withBench(async (bench) => {
  const folder = await setupGuestbook(bench);
  await bench.harness(folder, "launch", values.id);
  const url = JSON.parse((await bench.agent(folder, values.id, "url", "--json")).stdout).api;
  const env = await handMade(bench, folder);
  const hand = handCommands(folder, env);
  const names = [
    bare,
    "the same with the flags of the config",
    "all three processes by hand at once",
    "launch to healthy",
    "the project's own after-clone command alone",
    "launch, the whole command with its settle window",
    "launch again of a stack that is up",
    "teardown",
  ];
  const spans = Object.fromEntries(names.map((name) => [name, []]));
  await bench.harness(folder, "teardown", values.id);
  for (let round = 1; round <= Number(values.n); round += 1) {
    say(`round ${round} of ${values.n}`);
    spans[names[0]].push(await byHand(bench, folder, env, [hand.api]));
    spans[names[1]].push(await byHand(bench, folder, env, [hand.asConfigured]));
    spans[names[2]].push(await byHand(bench, folder, env, [hand.asConfigured, ...hand.others]));
    await launchOnce(bench, folder, url, spans);
    const reseed = await bench.run([process.execPath, "dist/reseed-connection.js"], {
      cwd: join(folder, "packages/backend"),
      ownEnv: env,
    });
    spans[names[4]].push(reseed.ms);
  }
  console.log(machineLine());
  const targets = {
    "launch to healthy": { text: "<= 400 ms over", met: (ms, base) => ms - base <= 400 },
    teardown: { text: "<= 1000 ms", met: (ms) => ms <= 1000 },
  };
  console.log(timeTable("launch", spans, { baseline: bare, targets }));
});
