// What the benches share: a harness of its own (home, infra on free ports), clocks, and a table with ratios.
// Everything is taken away again at the end, also on Ctrl-C. Progress goes to stderr, the tables to stdout.
import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const program = (name) => join(repository, "dist", "bin", `${name}.js`);

export const say = (text) => process.stderr.write(`${text}\n`);

/** Runs `work` with a bench of its own; interrupted or not, nothing of it is left afterwards. */
export async function withBench(work) {
  const interrupted = new AbortController();
  let stop;
  const stopped = new Promise((_, reject) => {
    stop = reject;
  });
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ]) {
    process.once(signal, () => {
      process.exitCode = code;
      say(`${signal}: cleaning up`);
      interrupted.abort();
      stop(new Error(signal));
    });
  }
  const bench = await openBench(interrupted.signal);
  try {
    await Promise.race([work(bench), stopped]);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
  } finally {
    await bench.close();
  }
}

async function openBench(signal) {
  const root = await realpath(await mkdtemp(join(tmpdir(), "ah-bench-")));
  // As root, Postgres runs as another user, who has to pass through.
  await chmod(root, 0o711);
  const { start, run, endAll } = runner(signal, root);
  const homes = new Set();
  // What a bench has running is ended before the homes are taken down; what it has done to its folder is undone when nothing
  // runs in it any more.
  const firstly = [];
  const lastly = [];
  let count = 0;
  /** A home of its own for a driver, on ports of its own, with the programs on it; made empty. */
  const openHome = async (driver = "embedded") => {
    count += 1;
    const own = await makeHome(join(root, count === 1 ? "home" : `home-${count}`), driver);
    const command =
      (name) =>
      (cwd, ...words) =>
        run([process.execPath, program(name), ...words], { cwd, ownEnv: own.env });
    const close = async () => {
      await takeDown(own, driver, start);
      homes.delete(close);
    };
    homes.add(close);
    return { ...own, harness: command("agent-harness"), agent: command("agent-cli"), close };
  };
  const first = await openHome();
  const withFirst =
    (call) =>
    (argv, { ownEnv = first.env, ...options } = {}) =>
      call(argv, { ownEnv, ...options });
  const close = async () => {
    endAll();
    for (const undo of firstly) await undo();
    for (const closeHome of homes) await closeHome();
    await until(`all processes of ${root} have ended`, async () => (await runningIn(root)).length === 0);
    for (const undo of lastly) await undo();
    await rm(root, { recursive: true, force: true });
  };
  const quiet = () =>
    until("the pool is full", async () => (await runningIn(root)).every((line) => !/refill/.test(line)));
  return { ...first, root, start: withFirst(start), run: withFirst(run), close, firstly, lastly, quiet, openHome };
}

/** Starts and runs programs, in a folder unless told otherwise; none after an interruption, but for cleaning up. */
function runner(signal, root) {
  const children = new Set();
  /** Starts a program; `done` is its end, with the time from its start in ms. */
  const start = (argv, { cwd = root, ownEnv, cleaning = false }) => {
    if (signal.aborted && !cleaning) throw new Error("interrupted");
    const from = performance.now();
    // A group of its own: Ctrl-C reaches us alone, and we take things down in order.
    const child = spawn(argv[0], argv.slice(1), {
      cwd,
      env: ownEnv,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].on("data", (data) => (text[name] += data));
    children.add(child);
    const done = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        children.delete(child);
        resolve({ code, ms: performance.now() - from, ...text });
      });
    });
    return { child, from, done };
  };
  const run = async (argv, options) => {
    const ended = await start(argv, options).done;
    if (ended.code !== 0)
      throw new Error(`${argv.join(" ")} ended with ${ended.code}:\n${ended.stderr}${ended.stdout}`);
    return ended;
  };
  const endAll = () => {
    for (const child of children) end(child);
  };
  return { start, run, endAll };
}

/** An empty home for a driver, and the environment that makes the programs work in it. */
async function makeHome(home, driver) {
  await mkdir(home, { mode: 0o711 });
  const images = Object.entries(process.env).filter(([key]) => /^AGENT_\w+_IMAGE$/.test(key));
  const own = { AGENT_HARNESS_HOME: home, AGENT_HARNESS_INFRA_DRIVER: driver, AGENT_COMPOSE_PROJECT: projectOf(home) };
  return { home, env: { ...cleanEnv(), ...Object.fromEntries(images), ...(await infraVariables()), ...own } };
}

/** No two benches at once share a name: it is that of the temporary folder, with the home's. */
const projectOf = (home) => home.split("/").slice(-2).join("-").toLowerCase();

/** Takes away all that a home has running or keeps, volumes too. */
async function takeDown({ env }, driver, start) {
  const lists = [
    ["teardown-all", "--everywhere"],
    ["infra", "down", "--force"],
    // Only containers keep anything outside of the home.
    ...(driver === "compose" ? [["infra", "destroy", "--force"]] : []),
  ];
  for (const words of lists) {
    const { child, done } = start([process.execPath, program("agent-harness"), ...words], {
      ownEnv: env,
      cleaning: true,
    });
    const limit = setTimeout(() => child.kill("SIGKILL"), 120_000);
    const { code, stderr } = await done;
    clearTimeout(limit);
    if (code !== 0) say(`${words.join(" ")} ended with ${code}:\n${stderr}`);
  }
}

/** Without NODE_*: extra certificates alone make every Node start slower, and hide in a baseline what a ratio should show. */
const cleanEnv = () =>
  Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(AGENT_|PM2_|PG|NODE_)/.test(key)));

async function infraVariables() {
  const names = ["DB", "MINIO", "MINIO_CONSOLE", "BROWSER", "MAILPIT_WEB", "MAILPIT_SMTP"];
  const ports = await freePorts(names.length);
  return Object.fromEntries(names.map((name, at) => [`AGENT_${name}_PORT`, String(ports[at])]));
}

/** Ports of loopback on which nobody listens now. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Ends a program and all that it started. */
export const end = (child) => process.kill(-child.pid, "SIGTERM");

/** The command lines of running processes that name a folder. */
async function runningIn(folder) {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(folder));
}

/** Waits until a condition holds, 60 s at most. */
export async function until(what, holds) {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within 60 s: ${what}`);
    await delay(10);
  }
}
