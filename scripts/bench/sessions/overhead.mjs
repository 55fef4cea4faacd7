// What a session adds to a one-shot task: from the request to the news that it has come to rest, against the bare program.
import { say } from "../bench.mjs";
import { timeTable } from "../table.mjs";
import { writeSettings } from "./daemon.mjs";

/** Measures one coding agent; prints its table. */
export async function benchOverhead(bench, daemon, cli, rounds) {
  const { title, provider, cwd, model } = cli;
  const bare = `${title}, its bare command line, to its end`;
  const hand = "the protocol of a session by hand, to its rest";
  const session = "a session: POST …/agents, to the event of its rest";
  const times = { [bare]: [], [hand]: [], [session]: [] };
  const project = `overhead-${title}`;
  await writeSettings(bench, cli.settings);
  await daemon.ask("POST", "/projects", { name: project, cwd });
  const rests = await daemon.rests(project);
  const once = async (name) => {
    const from = performance.now();
    await daemon.ask("POST", `/projects/${project}/agents`, { name, provider, model, task: "Do the task." });
    const at = await rests.of(name);
    await daemon.ask("DELETE", `/projects/${project}/agents/${name}`);
    return at - from;
  };
  for (let round = 0; round <= rounds; round += 1) {
    say(`${title}: round ${round} of ${rounds}${round === 0 ? " (not counted)" : ""}`);
    const taken = { [bare]: await cli.bare(), [hand]: await cli.byHand(), [session]: await once(`round-${round}`) };
    if (round > 0) for (const [name, ms] of Object.entries(taken)) times[name].push(ms);
  }
  rests.close();
  const target = { text: "<= 100 ms over", met: (ms, base) => ms - base <= 100 };
  console.log(timeTable(`overhead, ${title}`, times, { baseline: bare, targets: { [session]: target } }));
}
