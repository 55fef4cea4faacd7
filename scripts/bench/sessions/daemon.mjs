// The daemon of a bench: the built `agent-harness serve` on the bench's own home, and a small client of its API.
import { chmod, readFile, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { keeperVariable, sessionFolderVariable } from "../../../dist/shared/names.js";
import { killAll, listMarked } from "../../../dist/shared/process-tree.js";
import { end, freePorts, repository, until } from "../bench.mjs";

const token = "the-token-of-a-bench";
const probe = fileURLToPath(new URL("probe.mjs", import.meta.url));

/** Says which programs sessions run; read anew at each creation. */
export async function writeSettings(bench, providers) {
  const file = join(bench.home, "sessions.json");
  await writeFile(file, JSON.stringify({ runIn: "headless", permissions: "all", providers }), { mode: 0o600 });
  await chmod(file, 0o600);
}

/** Keepers and programs outlive their daemon: sees to it that none of a bench outlives the bench. */
export function endSessionsAtLast(bench) {
  bench.firstly.push(() =>
    until("all sessions have ended", async () => {
      const mine = (value) => value.startsWith(`${bench.root}/`);
      const left = [...(await listMarked(keeperVariable, mine)), ...(await listMarked(sessionFolderVariable, mine))];
      await killAll(left, { graceMs: 0 });
      return left.length === 0;
    }),
  );
}

/** Starts a daemon and waits until it listens. */
export async function startDaemon(bench, env) {
  const [port] = await freePorts(1);
  const program = [join(repository, "dist", "bin", "agent-harness.js"), "serve", "--port", String(port), "--json"];
  const ownEnv = { ...env, HARNESS_BEARER_TOKEN: token };
  const { child, done } = bench.start([process.execPath, "--import", probe, ...program], { ownEnv });
  let printed = "";
  child.stdout.on("data", (data) => (printed += data));
  let problems = "";
  child.stderr.on("data", (data) => (problems += data));
  let ended = false;
  done.then(() => (ended = true));
  await until("the daemon listens", () => {
    if (ended) throw new Error(`the daemon ended: ${problems}`);
    return printed.endsWith("}\n");
  });
  const { url, pid } = JSON.parse(printed);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const ask = async (method, path, body) => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(url + path, { method, headers, ...sent });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  return {
    url,
    token,
    pid,
    ask,
    rests: (project) => followRests(`${url}/projects/${project}/events`, headers),
    memory: () => memoryOf(child, pid),
    stop: async () => {
      end(child);
      await done;
    },
  };
}

/** Follows the sessions of a project: `of` waits until one has come to rest, and says when, by our clock. */
async function followRests(url, headers) {
  const rests = new Map();
  const take = (frame) => {
    const data = /^data: (.*)$/m.exec(frame)?.[1];
    const event = data ? JSON.parse(data) : {};
    if (event.type === "agent_terminal_finalized") rests.set(event.agentId, { at: performance.now(), ...event });
  };
  const request = get(url, { headers, agent: false });
  const response = await new Promise((resolve, reject) => request.once("response", resolve).once("error", reject));
  request.on("error", () => undefined);
  let rest = "";
  response.setEncoding("utf8").on("data", (data) => {
    const frames = (rest + data).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) take(frame);
  });
  const of = async (id) => {
    await until(`${id} has come to rest`, () => rests.has(id));
    const { at, status, lastMessage } = rests.get(id);
    if (status !== "idle" || lastMessage !== "Done.") throw new Error(`${id} is ${status}, and said: ${lastMessage}`);
    return at;
  };
  return { of, close: () => request.destroy() };
}

/** What the daemon holds after a collection of garbage, in bytes. */
async function memoryOf(child, pid) {
  const told = new Promise((resolve) => {
    let text = "";
    const take = (data) => {
      text += data;
      const found = /^memory (.*)\n/m.exec(text);
      if (found === null) return;
      child.stderr.off("data", take);
      resolve(JSON.parse(found[1]));
    };
    child.stderr.on("data", take);
  });
  process.kill(pid, "SIGUSR2");
  const { heapUsed, external } = await told;
  return { heap: heapUsed + external, ...(await pagesOf(pid)) };
}

/** The pages of a process in bytes: its own that it has written, and all of them with what it shares by halves. */
export async function pagesOf(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0) * 1024;
  return { own: bytes("Private_Dirty"), pss: bytes("Pss") };
}
