import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { complete, quickComplete } from "./complete.ts";
import { completionData } from "./completion-data.ts";
import { agentProgram, harnessProgram, runHarness, verifyProgram } from "./index.ts";

const data = completionData([harnessProgram(), agentProgram(), verifyProgram()]);
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-complete-"));
  const claim = (id: number) => ({ project: "shop", workdir: `/work/agent-${id}` });
  await writeFile(join(home, "registry.json"), JSON.stringify({ stacks: { "3": claim(3), "31": claim(31) } }));
  await ledger(3, "api", "worker");
  await ledger(31, "api", "web");
});
afterAll(() => rm(home, { recursive: true }));

async function ledger(id: number, ...names: string[]): Promise<void> {
  await mkdir(join(home, "stacks", String(id)), { recursive: true });
  const processes = names.map((process) => ({ process }));
  await writeFile(join(home, "stacks", String(id), "ledger.json"), JSON.stringify({ processes }));
}

/** The words offered for a command line; its last word is the one that is being written. */
const offered = (line: string, env: Record<string, string> = {}, cwd = "/"): string[] =>
  complete(line.split(" "), data, { AGENT_HARNESS_HOME: home, ...env }, cwd).map(([word]) => word);

describe("commands", () => {
  test("of each program, those that begin so; no hidden one", () => {
    expect(offered("agent-harness lau")).toEqual(["launch", "launch-all"]);
    expect(offered("/usr/bin/agent-harness stat")).toEqual(["status"]);
    expect(offered("agent-harness comp")).toEqual(["completion"]);
    expect(offered("agent-harness worktree ")).toEqual([]);
    expect(offered("agent-cli re")).toEqual(["restart"]);
    expect(offered("another-program la")).toEqual([]);
  });

  test("with two names, one after the other", () => {
    expect(offered("agent-harness inf")).toEqual(["infra"]);
    expect(offered("agent-harness infra d")).toEqual(["down", "destroy"]);
    expect(offered("agent-harness template-db ")).toEqual(expect.arrayContaining(["status", "build", "list", "drop"]));
  });

  test("with what they mean", () => {
    const words = ["agent-harness", "infra", "down"];
    expect(complete(words, data, {}, "/")).toEqual([["down", "stop the shared services and keep their data"]]);
    expect(complete(["agent-harness", "infra"], data, {}, "/")).toEqual([["infra", "commands about infra"]]);
  });
});

describe("flags", () => {
  test("of the command, each once, but for those that may be given again", () => {
    expect(offered("agent-harness teardown 3 --d")).toEqual(["--dry-run", "--delete-branch"]);
    expect(offered("agent-harness teardown 3 --dry-run --d")).toEqual(["--delete-branch"]);
    expect(offered("agent-harness launch 3 --env A=1 --en")).toEqual(["--env"]);
    expect(offered("verify --k")).toEqual(["--keep-going"]);
    expect(offered("agent-harness setup --js")).toEqual(["--json"]);
  });

  test("of the program itself, before a command", () => {
    expect(offered("agent-harness --c")).toEqual(["--config"]);
    expect(offered("agent-harness --config ")).toEqual([":files"]);
    expect(offered("agent-harness --config some.yml tear")).toEqual(["teardown", "teardown-all"]);
    expect(offered("agent-cli --")).toEqual(["--help", "--version"]);
  });

  test("and what may stand behind one", () => {
    expect(offered("agent-harness infra up --driver ")).toEqual(["auto", "compose", "embedded"]);
    expect(offered("agent-harness infra up --driver e")).toEqual(["embedded"]);
    expect(offered("agent-harness launch 3 --adopt ")).toEqual([":files"]);
    expect(offered("agent-harness logs --lines ")).toEqual([]);
    expect(offered("agent-harness logs --lines 5 3")).toEqual(["3", "31"]);
    expect(offered("agent-harness infra logs --follow po")).toEqual(["postgres"]);
  });
});

describe("what lives on the machine", () => {
  test("agents, with their projects", () => {
    expect(offered("agent-harness teardown ")).toEqual(["3", "31"]);
    expect(offered("agent-harness teardown 31")).toEqual(["31"]);
    expect(offered("verify 3")).toEqual(["3", "31"]);
    expect(offered("agent-cli 3")).toEqual(["3", "31"]);
    expect(offered("agent-harness teardown 3 ")).toEqual([]);
    expect(complete(["verify", "31"], data, { AGENT_HARNESS_HOME: home }, "/")).toEqual([
      ["31", "shop in /work/agent-31"],
    ]);
  });

  test("processes of the stack that is meant: the id, AGENT_ID, the folder", () => {
    expect(offered("agent-cli 3 logs ")).toEqual(["api", "worker"]);
    expect(offered("agent-cli 31 restart w")).toEqual(["web"]);
    expect(offered("agent-cli logs ", { AGENT_ID: "31" })).toEqual(["api", "web"]);
    expect(offered("agent-cli logs w", {}, "/work/agent-3/src")).toEqual(["worker"]);
    expect(offered("agent-cli logs ", {}, "/work/agent-30")).toEqual([]);
    expect(offered("agent-cli 7 logs ")).toEqual([]);
    expect(offered("agent-cli ../3 logs ")).toEqual([]);
  });

  test("of several agents together", () => {
    expect(offered("agent-harness logs ")).toEqual(["3", "31", "api", "worker", "web"]);
    expect(offered("agent-harness logs 31 ")).toEqual(["3", "api", "web"]);
  });

  test("services, shells, files", () => {
    expect(offered("agent-harness infra logs ")).toEqual(["postgres", "s3", "browser", "mail"]);
    expect(offered("agent-harness completion ")).toEqual(["bash", "zsh", "fish"]);
    expect(offered("agent-cli 3 exec ")).toEqual([":files"]);
    expect(offered("agent-cli 3 exec ls --")).toEqual([":files"]);
  });

  test("nothing, on a machine where nothing is or nothing can be read", async () => {
    expect(offered("agent-harness teardown ", { AGENT_HARNESS_HOME: "/nowhere" })).toEqual([]);
    const broken = join(home, "broken");
    await mkdir(broken);
    await writeFile(join(broken, "registry.json"), "{");
    expect(offered("agent-cli 3 logs ", { AGENT_HARNESS_HOME: broken })).toEqual([]);
  });
});

test("the file that completion reads is what the commands say; `npm run gen` writes it", async () => {
  const text = await readFile(join(packageRoot(), "templates", "completion.json"), "utf8");
  expect(JSON.parse(text)).toEqual(data);
});

test("the hidden command answers as the quick way does, and nothing else is taken for it", async () => {
  const env = { AGENT_HARNESS_HOME: home };
  const argv = ["complete", "--", "agent-cli", "3", "logs", ""];
  let stdout = "";
  const exitCode = await runHarness(argv, { env, cwd: "/", stdout: (text) => (stdout += text) });
  expect([exitCode, stdout]).toEqual([0, "api\tprocess\nworker\tprocess\n"]);
  expect(quickComplete(argv, env, "/")).toBe(stdout);
  expect(quickComplete(["status"], env, "/")).toBeUndefined();
  expect(quickComplete(["complete"], env, "/")).toBe("");
});

test("completion prints a script for each shell that it knows", async () => {
  const print = async (shell: string) => {
    const printed = { stdout: "", stderr: "" };
    const exitCode = await runHarness(["completion", shell], {
      stdout: (text) => (printed.stdout += text),
      stderr: (text) => (printed.stderr += text),
    });
    return { exitCode, ...printed };
  };
  for (const shell of ["bash", "zsh", "fish"]) {
    const { exitCode, stdout } = await print(shell);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("agent-harness agent-cli verify");
    expect(stdout).not.toContain("{{");
  }
  expect(await print("tcsh")).toMatchObject({ exitCode: 2, stdout: "", stderr: expect.stringContaining("bash, zsh") });
});
