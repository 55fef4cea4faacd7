// How fast events of the log reach those who follow it over the API, live and from the past.
import { fileURLToPath } from "node:url";
import { resolveInfra } from "../../../dist/infra/index.js";
import { configSchema } from "../../../dist/shared/config-schema.js";
import { homePaths } from "../../../dist/shared/paths.js";
import { openStore } from "../../../dist/store/index.js";
import { say, until } from "../bench.mjs";
import { markdown, median, timeTable } from "../table.mjs";
import { startDaemon } from "./daemon.mjs";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const last = "last_of_the_bench";
/** How many events are appended in one transaction. */
const batch = 100;

/** Both tables. */
export async function benchStreams(bench, { daemonEnv, events, subscribers, n }) {
  const infra = await resolveInfra(homePaths(bench.home), configSchema.parse({}).infra, bench.env);
  const { host, port, user, password } = infra.postgres;
  const daemon = await startDaemon(bench, daemonEnv);
  const store = await openStore({ server: { host, port, user, password } });
  try {
    await benchLive({ bench, daemon, store, events, subscribers, rounds: n });
    await benchReplay({ bench, daemon, store, events, subscribers, rounds: n });
  } finally {
    await store[Symbol.asyncDispose]();
  }
  await daemon.stop();
}

/** Starts a program of this folder that prints JSON lines; `told` waits for the one that has a key. */
function startTelling(bench, name, order) {
  const { child, done } = bench.start([process.execPath, file(name), JSON.stringify(order)]);
  let printed = "";
  child.stdout.on("data", (data) => (printed += data));
  let ended;
  done.then(
    (end) => (ended = end),
    () => undefined,
  );
  const find = (key) => {
    const lines = printed
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    return lines.find((line) => key in line);
  };
  const told = async (key) => {
    await until(`${name} says ${key}`, () => {
      if (find(key) === undefined && ended !== undefined) throw new Error(`${name} ended: ${ended.stderr}`);
      return find(key) !== undefined;
    });
    return find(key);
  };
  return { told, done };
}

const follow = (bench, { url, token }, project, { count, since }) =>
  startTelling(bench, "subscribers.mjs", {
    url: `${url}/projects/${project}/events${since === undefined ? "" : `?since=${since}`}`,
    headers: { authorization: `Bearer ${token}` },
    count,
    last,
  });

/** Appends so many events to the log, as the daemon of a busy session does; the last one says that it is the last. */
async function publish(store, project, events) {
  const one = { type: "output", project, agentId: "one", data: { text: "x".repeat(120) } };
  for (let left = events; left > 0; left -= batch) {
    const part = Array.from({ length: Math.min(batch, left) }, () => one);
    if (left <= batch) part[part.length - 1] = { ...one, type: last };
    await store.events.append(part);
  }
}

/** Each subscriber got all events, in order. */
function check({ least, most, disorder }, events) {
  if (least !== events || most !== events) throw new Error(`${least} to ${most} events came instead of ${events}`);
  if (disorder !== 0) throw new Error(`${disorder} events came out of order`);
}

async function benchLive({ bench, daemon, store, events, subscribers, rounds }) {
  const bare = `bare Node, the same frames to ${subscribers}`;
  const alone = "appended to the log, nobody follows";
  const one = "appended and followed over the API by 1";
  const many = `appended and followed over the API by ${subscribers}`;
  const ms = { [bare]: [], [alone]: [], [one]: [], [many]: [] };
  const live = async (count, name) => {
    const project = `live-${name}`;
    await daemon.ask("POST", "/projects", { name: project, cwd: bench.root });
    const followers = follow(bench, daemon, project, { count });
    await followers.told("ready");
    const from = performance.timeOrigin + performance.now();
    await publish(store, project, events);
    const got = await followers.told("to");
    check(got, events);
    return got.to - from;
  };
  const plain = async () => {
    const server = startTelling(bench, "plain-server.mjs", { frames: events, count: subscribers, last });
    const { port } = await server.told("port");
    const order = { url: `http://127.0.0.1:${port}/`, count: subscribers, last };
    const followers = startTelling(bench, "subscribers.mjs", order);
    const got = await followers.told("to");
    check(got, events);
    return got.to - (await server.told("from")).from;
  };
  const unheard = async (name) => {
    const from = performance.now();
    await publish(store, `unheard-${name}`, events);
    return performance.now() - from;
  };
  for (let round = 0; round <= rounds; round += 1) {
    say(`streams, live: round ${round} of ${rounds}${round === 0 ? " (not counted)" : ""}`);
    const taken = {
      [bare]: await plain(),
      [alone]: await unheard(round),
      [one]: await live(1, `one-${round}`),
      [many]: await live(subscribers, `many-${round}`),
    };
    if (round > 0) for (const [name, value] of Object.entries(taken)) ms[name].push(value);
  }
  const counts = { [bare]: subscribers, [one]: 1, [many]: subscribers };
  const rate = (name) => (events * 1000) / median(ms[name]);
  const rows = Object.keys(ms).map((name) => [
    name,
    Math.round(rate(name)),
    name === alone ? "" : Math.round(rate(name) * counts[name]),
    ms[name].length,
    name === bare ? "baseline" : `${(rate(name) / rate(bare)).toPrecision(2)} x`,
  ]);
  const title = `streams, ${events} events as they come, none lost, all in order`;
  console.log(markdown(title, ["", "events/s", "deliveries/s", "n", "ratio"], rows));
}

async function benchReplay({ bench, daemon, store, events, subscribers, rounds }) {
  const project = "replay";
  await daemon.ask("POST", "/projects", { name: project, cwd: bench.root });
  await publish(store, project, events);
  const bare = `the ${events} events by one SELECT`;
  const one = "GET …/events?since=evt-0, to the last of them";
  const many = `the same by ${subscribers} at once, to the last of all`;
  const times = { [bare]: [], [one]: [], [many]: [] };
  const replay = async (count) => {
    const got = await follow(bench, daemon, project, { count, since: "evt-0" }).told("to");
    check(got, events);
    return got.to - got.from;
  };
  const select = async () => {
    const from = performance.now();
    const found = await store.events.read({ project }, { since: 0, limit: events });
    if (found.length !== events) throw new Error(`${found.length} events were read`);
    return performance.now() - from;
  };
  for (let round = 0; round <= rounds; round += 1) {
    say(`streams, replay: round ${round} of ${rounds}${round === 0 ? " (not counted)" : ""}`);
    const taken = { [bare]: await select(), [one]: await replay(1), [many]: await replay(subscribers) };
    if (round > 0) for (const [name, value] of Object.entries(taken)) times[name].push(value);
  }
  const target = { text: "<= 1000 ms", met: (value) => value <= 1000 };
  console.log(timeTable(`streams, replay of ${events} events`, times, { baseline: bare, targets: { [one]: target } }));
}
