import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { findExecutable } from "../shared/words.ts";
import { build } from "../testing/crash.ts";
import { openTerminal } from "../testing/terminal.ts";

const run = promisify(execFile);

/* The scripts in real shells: each types a line, presses Tab, and sees what a person would. */

let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  await build();
  folder = await mkdtemp(join(tmpdir(), "ah-completion-"));
  const bin = join(folder, "bin");
  await mkdir(bin);
  for (const program of ["agent-harness", "agent-cli", "verify"]) {
    const script = join(packageRoot(), "dist", "bin", `${program}.js`);
    await writeFile(join(bin, program), `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`);
    await chmod(join(bin, program), 0o755);
  }
  const home = join(folder, "home");
  await mkdir(join(home, "stacks/31"), { recursive: true });
  const claim = { project: "shop", workdir: "/work/agent-31" };
  await writeFile(join(home, "registry.json"), JSON.stringify({ stacks: { "31": claim } }));
  const processes = ["api", "worker"].map((process) => ({ process }));
  await writeFile(join(home, "stacks/31/ledger.json"), JSON.stringify({ processes }));
  await mkdir(join(folder, "a folder"));
  await writeFile(join(folder, "a folder/some file.yml"), "");
  env = {
    PATH: `${bin}:${process.env["PATH"]}`,
    HOME: folder,
    LANG: "C.UTF-8",
    AGENT_HARNESS_HOME: home,
  };
});
afterAll(() => rm(folder, { recursive: true }));

const installed = async (shell: string): Promise<boolean> =>
  (await findExecutable(shell, { cwd: "/", path: (process.env["PATH"] ?? "").split(":") })) !== undefined;

/** How each shell starts without anybody's settings, and takes the script in. */
const shells = {
  bash: { argv: ["bash", "--norc", "--noprofile"], source: "source <(agent-harness completion bash)" },
  zsh: { argv: ["zsh", "-f"], source: "source <(agent-harness completion zsh)" },
  fish: { argv: ["fish", "--no-config"], source: "agent-harness completion fish | source" },
};
const here = (
  await Promise.all(Object.entries(shells).map(async ([name, one]) => ({ name, ...one, is: await installed(name) })))
)
  // bash is on every machine that runs the tests; the others are tried where they are.
  .filter((one) => one.is || one.name === "bash");

describe.each(here)("$name", ({ argv, source }) => {
  async function open() {
    const terminal = await openTerminal(argv, { cwd: folder, env, columns: 200 });
    // Not in one word, so that the line itself is not taken for its output.
    await terminal.keys("-l", `${source}; echo sour''ced`);
    await terminal.keys("Enter");
    await terminal.until("the script is in", (text) => text.includes("\nsourced"));
    await terminal.keys("C-l");
    return terminal;
  }

  test("completes commands, flags, agents, processes, services", async () => {
    await using terminal = await open();
    const typed = async (line: string, expected: string): Promise<void> => {
      await terminal.keys("-l", line);
      await terminal.keys("Tab");
      await terminal.until(`${line}<Tab> becomes ${expected}`, (text) => text.includes(expected));
      await terminal.keys("C-u", "C-l");
      await terminal.until("an empty line", (text) => !text.includes(expected));
    };
    await typed("agent-harness confl", "agent-harness conflicts");
    await typed("agent-harness teardown 31 --dry", "agent-harness teardown 31 --dry-run");
    await typed("agent-harness teardown 3", "agent-harness teardown 31");
    await typed("agent-cli 31 logs wo", "agent-cli 31 logs worker");
    await typed("agent-harness infra logs post", "agent-harness infra logs postgres");
    await typed("verify 31 --keep", "verify 31 --keep-going");
    await typed("agent-harness infra up --driver embed", "agent-harness infra up --driver embedded");
  });

  test("names files where files are meant, blanks and all", async () => {
    await using terminal = await open();
    await terminal.keys("-l", "agent-harness --config a");
    await terminal.keys("Tab");
    await terminal.until("the folder", (text) => /--config (?:a\\ folder\/|'a folder\/?)/.test(text));
  });

  test("shows the choices", async () => {
    await using terminal = await open();
    await terminal.keys("-l", "agent-harness template-db ");
    await terminal.keys("Tab", "Tab");
    await terminal.until("all of them", (text) =>
      ["build", "drop", "list", "status"].every((one) => text.includes(one)),
    );
  });
});

test("an answer takes little more than Node itself", async () => {
  const time = async (args: string[]): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      const start = performance.now();
      await run(process.execPath, args, { env });
      times.push(performance.now() - start);
    }
    return Math.min(...times);
  };
  const script = join(packageRoot(), "dist/bin/agent-harness.js");
  const [bare, answer] = [
    await time(["-e", "0"]),
    await time([script, "complete", "--", "agent-cli", "31", "logs", ""]),
  ];
  // Of a machine that may be busy with all sorts of things, the best of several.
  expect(answer - bare).toBeLessThan(100);
  expect(answer).toBeLessThan(Math.max(150, 3 * bare));
});
