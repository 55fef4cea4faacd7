// What a session adds to a one-shot task: from the request to the news that it has come to rest, against the bare program.
import { say } from "../bench.mjs";
import { timeTable } from "../table.mjs";
import { prompt } from "./clis.mjs";
import { writeSettings } from "./daemon.mjs";

/** How many sessions a daemon has behind it before it is measured: the first ones wait for V8 to compile. */
const warmUps = 8;

/** Measures each coding agent, the one without a model first; prints their tables. */
export async function benchOverhead(bench, daemon, { fake, clis, rounds }) {
  say("overhead: warming up the daemon");
  const warm = await openTasks(bench, daemon, fake, "warm-up");
  for (let at = 1; at <= warmUps; at += 1) await warm.run();
  warm.close();
  for (const cli of clis) await benchCli(bench, daemon, cli, rounds);
}

async function benchCli(bench, daemon, cli, rounds) {
  const bare = `${cli.title}, its bare command line, to its end`;
  const hand = "the protocol of a session by hand, to its rest";
  const session = "a session: POST …/agents, to the event of its rest";
  const times = { [bare]: [], [hand]: [], [session]: [] };
  const tasks = await openTasks(bench, daemon, cli, `overhead-${cli.title}`);
  for (let round = 0; round <= rounds; round += 1) {
    say(`${cli.title}: round ${round} of ${rounds}${round === 0 ? " (not counted)" : ""}`);
    const taken = { [bare]: await cli.bare(), [hand]: await cli.byHand(), [session]: await tasks.run() };
    if (round > 0) for (const [name, ms] of Object.entries(taken)) times[name].push(ms);
  }
  tasks.close();
  const target = { text: "<= 100 ms over", met: (ms, base) => ms - base <= 100 };
  console.log(timeTable(`overhead, ${cli.title}`, times, { baseline: bare, targets: { [session]: target } }));
}

/** Sessions of a coding agent, one after the other, in a project of their own; `run` gives the ms of one. */
async function openTasks(bench, daemon, { provider, cwd, model, settings }, project) {
  await writeSettings(bench, settings);
  const path = `/projects/${project}`;
  await daemon.ask("POST", "/projects", { name: project, cwd });
  const rests = await daemon.rests(project);
  let count = 0;
  const run = async () => {
    count += 1;
    const name = `task-${count}`;
    const from = performance.now();
    await daemon.ask("POST", `${path}/agents`, { name, provider, model, task: prompt });
    const at = await rests.of(name);
    await daemon.ask("DELETE", `${path}/agents/${name}`);
    return at - from;
  };
  return { run, close: rests.close };
}
