// agent-cli against bare Node: what a command costs an agent that calls it a hundred times an hour.
// node scripts/bench/cli.mjs [--n 15] [--id 90]
import { join } from "node:path";
import { parseArgs } from "node:util";
import { repository, say, withBench } from "./bench.mjs";
import { setupGuestbook } from "./guestbook.mjs";
import { machineLine, timeTable } from "./table.mjs";

const { values } = parseArgs({
  options: { n: { type: "string", default: "15" }, id: { type: "string", default: "90" } },
});

await withBench(async (bench) => {
  const folder = await setupGuestbook(bench);
  say(`launching agent ${values.id}`);
  await bench.harness(folder, "launch", values.id);
  await bench.quiet();
  const agentCli = [process.execPath, join(repository, "dist", "bin", "agent-cli.js"), values.id];
  const commands = {
    "node -e 0": [process.execPath, "-e", "0"],
    "agent-cli <id> url": [...agentCli, "url"],
    "agent-cli <id> status": [...agentCli, "status"],
    'agent-cli <id> psql "select 1"': [...agentCli, "psql", "select 1"],
    "agent-cli <id> slow-queries": [...agentCli, "slow-queries"],
    "agent-cli <id> logs api": [...agentCli, "logs", "api"],
    "agent-cli <id> env": [...agentCli, "env"],
    "agent-harness --help": [process.execPath, join(repository, "dist", "bin", "agent-harness.js"), "--help"],
  };
  const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (let round = 0; round <= Number(values.n); round += 1) {
    say(`round ${round} of ${values.n}${round === 0 ? " (not counted)" : ""}`);
    for (const [name, argv] of Object.entries(commands)) {
      const { ms } = await bench.run(argv, { cwd: folder });
      if (round > 0) times[name].push(ms);
    }
  }
  console.log(machineLine());
  const target = { text: "<= 1.5 x", met: (ms, base) => ms <= 1.5 * base };
  console.log(timeTable("cli", times, { baseline: "node -e 0", targets: { "agent-cli <id> url": target } }));
});
