// node scripts/take-down.mjs <folder>: takes away what interrupted tests left running on homes in that folder of
// temporary files. Says what it finds; usually there is nothing.
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { killAll, listMarked, listProcesses } from "../dist/shared/process-tree.js";

const [folder = ""] = process.argv.slice(2);
const program = fileURLToPath(new URL("../dist/bin/agent-harness.js", import.meta.url));
const say = (text) => process.stderr.write(`${text}\n`);

/** Runs a program to its end, however it ends; what it said when it failed. */
const run = (file, argv, env) =>
  new Promise((resolve) => {
    const options = { cwd: folder, env: { ...process.env, ...env }, timeout: 120_000 };
    execFile(file, argv, options, (error, _, stderr) => resolve(error === null ? undefined : stderr.trim()));
  });

const running = async () => [
  ...(await listMarked("TMPDIR", (value) => value === folder || value.startsWith(`${folder}/`))),
  ...(await listProcesses()).filter((one) => one.command.includes(folder) && one.pid !== process.pid),
];

// First whatever a test itself still runs: it would start again what is taken down here.
await killAll((await running()).filter((one) => one.command.includes("vitest")));

const homes = readdirSync(folder)
  .flatMap((name) => [join(folder, name), join(folder, name, ".agent-harness")])
  .filter((home) => existsSync(join(home, "credentials.json")));
for (const home of homes) {
  say(`taking down what a test left: ${home}`);
  // The name that testing/harness.ts gives to the containers of a home.
  const env = { AGENT_HARNESS_HOME: home, AGENT_COMPOSE_PROJECT: basename(home).toLowerCase() };
  for (const words of [
    ["teardown-all", "--everywhere"],
    ["infra", "down", "--force"],
    ["infra", "destroy", "--force"],
  ]) {
    const said = await run(process.execPath, [program, ...words], env);
    if (said !== undefined) say(`${words.join(" ")}: ${said}`);
  }
}

const left = await running();
for (const { pid, command } of left) say(`ending pid ${pid}: ${command.slice(0, 120)}`);
await killAll(left);

// A test mounts a small disk to fill it.
const mounts = await readFile("/proc/mounts", "utf8").catch(() => "");
for (const path of mounts.split("\n").map((line) => line.split(" ")[1] ?? "")) {
  if (path.startsWith(`${folder}/`)) say(`umount ${path}: ${(await run("umount", [path])) ?? "done"}`);
}
