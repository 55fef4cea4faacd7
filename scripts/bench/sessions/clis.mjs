// The coding agents of the bench: how each is run bare, and by hand over the protocol that a session speaks with it.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareFiles } from "../../../dist/sessions/prepare-files.js";
import { everyProvider } from "../../../dist/sessions/providers/index.js";
import { sessionFolderVariable } from "../../../dist/shared/names.js";
import { killTree } from "../../../dist/shared/process-tree.js";

/** Where the program without a model lies. */
export const fakeCli = fileURLToPath(new URL("fake-pi.mjs", import.meta.url));

export const prompt = "Do the task.";
const model = "scripted";

/** The script of the model: one command in the shell, then a last word. */
export function script({ protocol, hasToolResult }) {
  if (hasToolResult) return { kind: "text", text: "Done." };
  const command = "echo ran";
  const shells = {
    messages: { name: "Bash", input: { command, description: "Says that it ran" } },
    responses: { name: "exec_command", input: { cmd: command } },
    chat: { name: "bash", input: { command, description: "Says that it ran" } },
  };
  return { kind: "tool", ...shells[protocol] };
}

/** The bare command line for one task, from the plan of a session: the same program, settings and environment. */
const bareLines = {
  "claude-code": ({ argv: [command] }) => [
    ...[command, "-p", prompt, "--output-format", "stream-json", "--verbose", "--session-id", randomUUID()],
    ...["--permission-mode", "bypassPermissions", "--model", model],
  ],
  codex: ({ argv, cwd }) => [
    ...[...argv.slice(0, -1), "exec", "--json", "--skip-git-repo-check", "-C", cwd, "-m", model],
    ...["--dangerously-bypass-approvals-and-sandbox", prompt],
  ],
  opencode: (_, command) => [command, "run", "--format", "json", "--auto", prompt],
  pi: ({ argv }) => [...argv.map((word) => (word === "rpc" ? "json" : word)), prompt],
};

/** A coding agent: its program, with the home that it has when it is run bare. */
export async function openCli({ bench, title, provider, command, modelUrl, env }) {
  const cwd = join(bench.root, "work");
  await mkdir(cwd, { recursive: true });
  const settings = { command, modelUrl, modelKey: "a-key-of-some-length-0123" };
  const planIn = async (folder) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const start = {
      id: "by-hand",
      cwd,
      runIn: "headless",
      folder,
      socket: join(folder, "k.sock"),
      task: prompt,
      model,
    };
    const way = everyProvider().get(provider).ways.headless;
    // By this mark what is left of an interrupted bench is found.
    const marked = { ...env, [sessionFolderVariable]: folder };
    const planned = way.plan({ ...start, permissions: "all", env: marked, settings: { extraArgs: [], ...settings } });
    return { way, ...planned };
  };
  const kept = await planIn(join(bench.root, `bare-${title}`));
  await prepareFiles(kept.files);
  let count = 0;
  return {
    title,
    provider,
    cwd,
    model,
    settings: { [provider]: settings },
    /** One task on the bare program's command line, in ms to its end. */
    bare: async () => {
      const argv = bareLines[provider](kept.keeper.backend, command);
      const { ms, stdout } = await bench.run(argv, { cwd, ownEnv: kept.keeper.backend.env });
      if (!stdout.includes("Done.")) throw new Error(`${argv.join(" ")} did not do the task:\n${stdout}`);
      return ms;
    },
    /** The same task over the protocol of a session, without keeper, daemon and store, in ms to its rest. */
    byHand: async () => {
      count += 1;
      const from = performance.now();
      const planned = await planIn(join(bench.root, `hand-${title}-${count}`));
      await prepareFiles(planned.files);
      return (await talk(planned)) - from;
    },
  };
}

/** Starts what a plan says and does what its provider reads out of each line, until the session is at rest; returns when. */
function talk({ way, keeper, state: first }) {
  const { argv, cwd, env } = keeper.backend;
  const child = spawn(argv[0], argv.slice(1), { cwd, env, detached: true, stdio: ["pipe", "pipe", "ignore"] });
  let state = first;
  let n = 0;
  return new Promise((resolve, reject) => {
    let rest = "";
    const stop = async (give, what) => {
      child.removeAllListeners("exit");
      child.stdout.removeAllListeners("data").resume();
      await killTree(child.pid, { graceMs: 0 });
      give(what);
    };
    const read = (told) => {
      n += 1;
      const reading = way.read(state, { n, at: Date.now(), ...told });
      state = reading.state;
      for (const line of reading.writes ?? []) {
        child.stdin.write(`${line}\n`);
        read({ from: "stdin", key: String(n), line });
      }
      const status = reading.updates.findLast((one) => one.type === "status")?.status;
      if (status === "idle") void stop(resolve, performance.now());
      if (status === "error") void stop(reject, new Error(JSON.stringify(reading.updates)));
    };
    child.once("error", reject);
    child.stdin.on("error", () => undefined);
    child.once("exit", (code) => reject(new Error(`${argv.join(" ")} ended with ${code} before it was at rest`)));
    child.once("spawn", () => read({ from: "started", pid: child.pid, argv }));
    child.stdout.setEncoding("utf8").on("data", (data) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop();
      for (const line of lines)
        if (!(keeper.drop ?? []).some((head) => line.startsWith(head))) read({ from: "stdout", line });
    });
  });
}
