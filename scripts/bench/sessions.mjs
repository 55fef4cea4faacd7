// Sessions: what the daemon adds to a one-shot task, how fast events reach subscribers, what a session costs, and many at once.
// node scripts/bench/sessions.mjs [--parts overhead,streams,many] [--clis claude-code,codex,opencode,pi] [--n 7]
//   [--sessions 50] [--subscribers 100] [--events 10000]
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { say, withBench } from "./bench.mjs";
import { fakeCli, openCli, script } from "./sessions/clis.mjs";
import { endSessionsAtLast, startDaemon } from "./sessions/daemon.mjs";
import { loadHelpers } from "./sessions/helpers.mjs";
import { benchMany } from "./sessions/many.mjs";
import { benchOverhead } from "./sessions/overhead.mjs";
import { benchStreams } from "./sessions/streams.mjs";
import { machineLine } from "./table.mjs";

const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "overhead,streams,many" },
    clis: { type: "string", default: "claude-code,codex,opencode,pi" },
    n: { type: "string", default: "7" },
    sessions: { type: "string", default: "50" },
    subscribers: { type: "string", default: "100" },
    events: { type: "string", default: "10000" },
  },
});
const numbers = Object.fromEntries(
  ["n", "sessions", "subscribers", "events"].map((name) => [name, Number(values[name])]),
);
const parts = values.parts.split(",");

/** What coding agents may see of our environment, and a home of their own. */
async function environment(bench, { agentCliEnv }) {
  const home = join(bench.root, "person");
  await mkdir(home);
  const seen = agentCliEnv(home);
  const kept = Object.entries(bench.env).filter(([name]) => name in seen && !/^(AGENT_|HARNESS_)/.test(name));
  return { ...Object.fromEntries(kept), HOME: home, NO_PROXY: seen.NO_PROXY };
}

/** Those that are asked for and installed; the one without a model is always there. */
function findClis({ findAgentCli }) {
  const real = values.clis.split(",").filter((title) => title !== "fake");
  const programs = real.map((title) => ({ title, provider: title, command: findAgentCli(title) }));
  for (const { title, command } of programs) {
    if (command === undefined) say(`${title} is not installed (npm ci --prefix scripts/agent-clis): left out`);
  }
  const fake = { title: "fake", provider: "pi", command: fakeCli };
  return [fake, ...programs.filter(({ command }) => command !== undefined)];
}

await withBench(async (bench) => {
  endSessionsAtLast(bench);
  say("infra up");
  await bench.harness(bench.root, "infra", "up");
  const helpers = await loadHelpers(bench);
  const model = await helpers.openModelServer({ script });
  bench.lastly.push(() => model[Symbol.asyncDispose]());
  const env = await environment(bench, helpers);
  const harnessEnv = Object.fromEntries(Object.entries(bench.env).filter(([name]) => name.startsWith("AGENT_")));
  const daemonEnv = { ...env, ...harnessEnv };
  const open = (cli) => openCli({ bench, ...cli, modelUrl: model.url, env });
  const clis = await Promise.all(findClis(helpers).map(open));
  const [fake] = clis;
  console.log(machineLine());
  if (parts.includes("overhead")) {
    const daemon = await startDaemon(bench, daemonEnv);
    await benchOverhead(bench, daemon, { fake, clis, rounds: numbers.n });
    await daemon.stop();
  }
  if (parts.includes("streams")) await benchStreams(bench, { daemonEnv, ...numbers });
  if (parts.includes("many")) await benchMany(bench, { daemonEnv, fake, ...numbers });
});
