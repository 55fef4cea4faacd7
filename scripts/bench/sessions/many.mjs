// Many sessions at once: how long until all have done their task, and what each costs while it waits for the next one.
import { keeperVariable, sessionFolderVariable } from "../../../dist/shared/names.js";
import { listMarked } from "../../../dist/shared/process-tree.js";
import { say } from "../bench.mjs";
import { markdown, median } from "../table.mjs";
import { prompt } from "./clis.mjs";
import { pagesOf, startDaemon, writeSettings } from "./daemon.mjs";

const megabyte = 1024 * 1024;
const megabytes = (bytes) => `${(bytes / megabyte).toFixed(Math.abs(bytes) < 10 * megabyte ? 2 : 0)} MB`;
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const targetBytes = 2 * megabyte;

/** Both tables, of sessions of the program without a model. */
export async function benchMany(bench, { daemonEnv, fake: cli, sessions }) {
  await writeSettings(bench, cli.settings);
  say(`${sessions} bare programs at once`);
  const bare = await timed(() => Promise.all(Array.from({ length: sessions }, () => cli.bare())));
  const daemon = await startDaemon(bench, daemonEnv);
  const { provider, cwd, model } = cli;
  const path = "/projects/many";
  await daemon.ask("POST", "/projects", { name: "many", cwd });
  const rests = await daemon.rests("many");
  const names = Array.from({ length: sessions }, (_, at) => `session-${at}`);
  const before = await daemon.memory();
  say(`${sessions} sessions at once`);
  const from = performance.now();
  const done = names.map(async (name) => {
    await daemon.ask("POST", `${path}/agents`, { name, provider, model, task: prompt });
    return (await rests.of(name)) - from;
  });
  const ended = await Promise.all(done);
  const listed = await timed(() => daemon.ask("GET", `${path}/agents`));
  const idle = listed.result.agents.filter(({ status }) => status === "idle").length;
  const after = await daemon.memory();
  const keepers = await pagesOfAll(bench, keeperVariable);
  const programs = await pagesOfAll(bench, sessionFolderVariable);
  say(`deleting ${sessions} sessions`);
  const gone = await timed(() => daemon.ask("DELETE", path));
  const left =
    (await pagesOfAll(bench, sessionFolderVariable)).length + (await pagesOfAll(bench, keeperVariable)).length;
  const empty = await daemon.memory();
  rests.close();
  await daemon.stop();
  const ratio = (ms) => `${(ms / bare.ms).toPrecision(2)} x`;
  const all = Math.max(...ended);
  const rows = [
    [`${sessions} bare programs at once, to the end of the last`, seconds(bare.ms), "baseline"],
    [`${sessions} sessions at once, until all are idle`, seconds(all), ratio(all)],
    ["the median session of them", seconds(median(ended)), ratio(median(ended))],
    ["idle with the right answer", `${idle} of ${sessions}`, ""],
    ["GET …/agents of all", `${Math.round(listed.ms)} ms`, ""],
    ["DELETE of the project with all of them", seconds(gone.ms), ratio(gone.ms)],
    ["keepers and programs left after that", left, ""],
  ];
  console.log(markdown(`many, ${sessions} sessions at once`, ["", "value", "ratio"], rows));
  const memory = { before, after, empty, sessions, keepers, programs };
  showMemory(memory);
}

function showMemory({ before, after, empty, sessions, keepers, programs }) {
  const row = (what, key, judged) => {
    const each = (after[key] - before[key]) / sessions;
    const verdict = judged ? `<= 2 MB: ${each <= targetBytes ? "met" : "MISSED"}` : "";
    return [what, ...[before, after, empty].map((one) => megabytes(one[key])), megabytes(each), verdict];
  };
  const of = (all, key) => megabytes(median(all.map((one) => one[key])));
  const program = (what, all, key) => [what, "", "", "", of(all, key), ""];
  const columns = ["", "no session", `${sessions} idle`, "deleted", "a session", "target"];
  const rows = [
    row("daemon: pages of its own", "own", true),
    row("daemon: JavaScript heap and buffers, after a collection", "heap", true),
    row("daemon: PSS (falls as other Nodes share its pages)", "pss", false),
    program("a keeper: pages of its own, median", keepers, "own"),
    program("a keeper: PSS, median", keepers, "pss"),
    program("the program of a session: PSS, median", programs, "pss"),
  ];
  console.log(markdown(`memory, ${sessions} sessions`, columns, rows));
}

async function timed(work) {
  const from = performance.now();
  const result = await work();
  return { result, ms: performance.now() - from };
}

/** The memory of every process that carries a mark of this bench. */
async function pagesOfAll(bench, variable) {
  const marked = await listMarked(variable, (value) => value.startsWith(`${bench.home}/`));
  return await Promise.all(marked.map(({ pid }) => pagesOf(pid)));
}
