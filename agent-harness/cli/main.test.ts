import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, errorCodes, errorKinds, HarnessError } from "../shared/errors.ts";
import { command } from "./command.ts";
import { runAgentCli, runHarness, runVerify } from "./index.ts";
import { main, type Program } from "./main.ts";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-cli-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** Runs a program in-process, in an empty home, and gives what it printed. */
async function run(program: typeof runHarness, argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const printed = { stdout: "", stderr: "" };
  const exitCode = await program(argv, {
    cwd: home,
    env: { PATH: process.env["PATH"], AGENT_HARNESS_HOME: home, ...env },
    live: false,
    interactive: false,
    stdout: (text) => (printed.stdout += text),
    stderr: (text) => (printed.stderr += text),
  });
  return { exitCode, ...printed };
}

/** What the commands of the little program below were given. */
let given: unknown[] = [];
const little: Program = {
  name: "little",
  takesConfig: true,
  description: "A program with one command of each sort.",
  version: "1.2.3",
  passThrough: ["exec"],
  commands: [
    command<{ word: string | undefined }>({
      usage: "say [word]",
      summary: "says it",
      options: [["--loud", "louder"]],
      run: async ([word], options, { json, interactive, progress }) => {
        given = [word, options["loud"], json, interactive];
        progress({ type: "note", text: "thinking" });
        return { word };
      },
      text: ({ word }) => `${word}\n`,
      exitCode: ({ word }) => (word === "no" ? 1 : 0),
    }),
    command({
      usage: "fail <code>",
      summary: "fails with a code",
      run: async ([code]) => {
        if (code === "BUG") throw new TypeError("x is undefined");
        throw new HarnessError(code as ErrorCode, "It failed.", { hint: "Try again." });
      },
    }),
    command<number>({
      usage: "exec <command...>",
      summary: "takes all",
      ownJson: true,
      run: async (words) => {
        given = [...words];
        if (words[0] === "none") throw new HarnessError("STACK_NOT_FOUND", "There is none.");
        return 9;
      },
      exitCode: (code) => code,
    }),
    command({ usage: "pair one", summary: "first", run: async () => undefined }),
    command({ usage: "pair two", summary: "second", run: async () => undefined, hidden: true }),
  ],
};
const runLittle = (...argv: string[]) => run((words, options) => main(little, words, options), argv);

describe("a program", () => {
  test("prints the result on stdout and what goes on beside it on stderr", async () => {
    expect(await runLittle("say", "hello")).toEqual({ exitCode: 0, stdout: "hello\n", stderr: "  thinking\n" });
    expect(given).toEqual(["hello", undefined, false, false]);
    expect((await runLittle("say", "no", "--loud")).exitCode).toBe(1);
    expect(given).toEqual(["no", true, false, false]);
  });

  test("prints exactly one JSON document on stdout with --json", async () => {
    const { stdout, exitCode } = await runLittle("say", "no", "--json");
    expect([JSON.parse(stdout), exitCode]).toEqual([{ word: "no" }, 1]);
  });

  test.each(Object.entries(errorCodes))("%s ends it with the code of its kind", async (code, kind) => {
    const { exitCode, stdout, stderr } = await runLittle("fail", code);
    expect([exitCode, stdout]).toEqual([errorKinds[kind].exitCode, ""]);
    expect(stderr).toContain(`error ${code}: It failed.\nnext: Try again.\n`);
  });

  test("an error is a JSON document on stdout too when JSON was asked for", async () => {
    const { exitCode, stdout, stderr } = await runLittle("fail", "CONFIG_INVALID", "--json");
    const error = { code: "CONFIG_INVALID", kind: "config", message: "It failed.", hint: "Try again.", context: {} };
    expect([exitCode, JSON.parse(stdout)]).toEqual([3, { error }]);
    expect(stderr).toContain("error CONFIG_INVALID");
  });

  test("whatever else is thrown is a bug: exit 70, the stack for people, not in the JSON", async () => {
    const { exitCode, stdout, stderr } = await runLittle("fail", "BUG", "--json");
    expect([exitCode, JSON.parse(stdout).error.code]).toEqual([70, "INTERNAL"]);
    expect(stderr).toContain("main.test.ts");
    expect(stdout).not.toContain("main.test.ts");
  });

  test.each([
    [["syay"], "little: unknown command 'syay'.", "Did you mean say? See: little --help"],
    [["SAY"], "little: unknown command 'SAY'.", "Did you mean say? See: little --help"],
    [["quite-another"], "little: unknown command 'quite-another'.", "See: little --help"],
    [["say", "--lud"], "little say: unknown option '--lud'.", "Did you mean --loud? See: little say --help"],
    [["say", "a", "b"], "little say: too many arguments for 'say'.", "See: little say --help"],
    [["fail"], "little fail: missing required argument 'code'.", "See: little fail --help"],
    [["pair", "oen"], "little pair: unknown command 'oen'.", "Did you mean one? See: little pair --help"],
    [["--config"], "little: option '--config <file>' argument missing.", "See: little --help"],
  ])("%j is a usage error", async (argv, message, hint) => {
    const { exitCode, stdout, stderr } = await runLittle(...argv);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`error USAGE: ${message}`);
    expect(stderr).toContain(`next: ${hint}\n`);
    const json = await runLittle(...argv, "--json");
    if (argv[0] !== "--config") expect(JSON.parse(json.stdout).error).toMatchObject({ code: "USAGE", hint });
  });

  test("help and version are results: stdout, exit 0; no command at all is a usage error", async () => {
    for (const argv of [["--help"], ["help"], ["-h"]]) {
      const { exitCode, stdout, stderr } = await runLittle(...argv);
      expect([exitCode, stderr]).toEqual([0, ""]);
      expect(stdout).toContain("Usage: little");
    }
    expect((await runLittle("say", "--help")).stdout).toContain("Usage: little say [options] [word]");
    expect((await runLittle("pair", "--help")).stdout).not.toContain("second");
    expect(await runLittle("--version")).toEqual({ exitCode: 0, stdout: "1.2.3\n", stderr: "" });
    const bare = await runLittle();
    expect([bare.exitCode, bare.stdout]).toEqual([2, ""]);
    expect(bare.stderr).toContain("Usage: little");
  });
});

describe("words behind exec belong to the program that it runs", () => {
  test.each([
    [
      ["ls", "-la"],
      ["ls", "-la"],
    ],
    [
      ["--", "sh", "-c", "echo $1 | cat", "--", "x"],
      ["sh", "-c", "echo $1 | cat", "--", "x"],
    ],
    [
      ["ls", "-h", "--help", "--json", "--config", "x"],
      ["ls", "-h", "--help", "--json", "--config", "x"],
    ],
    [
      ["git", "--version"],
      ["git", "--version"],
    ],
    [
      ["echo", "", "a b", "-"],
      ["echo", "", "a b", "-"],
    ],
    [
      ["say", "exec"],
      ["say", "exec"],
    ],
  ])("%j", async (argv, words) => {
    expect(await runLittle("exec", ...argv)).toEqual({ exitCode: 9, stdout: "", stderr: "" });
    expect(given).toEqual(words);
  });

  test("a --json of theirs does not make our errors JSON", async () => {
    expect(await runLittle("exec", "none", "--json")).toMatchObject({ exitCode: 4, stdout: "" });
  });
});

const noIds = ["0", "100", "-1", "1.5", "1; drop", "../1", "01", " 1", "", "one"];

describe("an id that is none", () => {
  test.each(noIds)("%j is refused by every command, shown as it is, and nothing is made", async (id) => {
    const message = `error AGENT_ID_INVALID: An agent id is a whole number from 1 to 99, not ${JSON.stringify(id)}.`;
    for (const name of ["launch", "teardown", "reset", "status", "verify", "launch-all"]) {
      const { exitCode, stdout, stderr } = await run(runHarness, [name, id]);
      expect([name, exitCode, stdout]).toEqual([name, 2, ""]);
      expect(stderr).toContain(message);
    }
    expect((await run(runVerify, [id])).stderr).toContain(message);
    const agent = await run(runAgentCli, [id, "url", "--json"]);
    expect(agent).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) });
    expect(JSON.parse(agent.stdout).error.code).toBe("AGENT_ID_INVALID");
    expect(await readdir(home)).toEqual([]);
  });

  test.each(["--5", "--", "-x", "--force=1"])("%j in its place is a usage error", async (word) => {
    for (const name of ["launch", "teardown", "reset"]) {
      expect(await run(runHarness, [name, word])).toMatchObject({ exitCode: 2, stdout: "" });
    }
    expect((await run(runVerify, [word, "x"])).exitCode).toBe(2);
    expect((await run(runAgentCli, [word, "url"], { AGENT_ID: "x" })).exitCode).toBe(2);
    expect(await readdir(home)).toEqual([]);
  });

  test("an AGENT_ID that is none is refused likewise; a mistyped command of agent-cli is not taken for an id", async () => {
    expect((await run(runAgentCli, ["url"], { AGENT_ID: "1; drop" })).stderr).toContain('not "1; drop"');
    expect(await run(runAgentCli, ["ulr"])).toMatchObject({
      exitCode: 2,
      stderr: 'error USAGE: agent-cli has no command "ulr".\nnext: Did you mean: agent-cli url\n',
    });
  });
});

describe("the three programs", () => {
  test.each([
    ["agent-harness", runHarness, "launch-all"],
    ["agent-cli", runAgentCli, "slow-queries"],
    ["verify", runVerify, "--keep-going"],
  ])("%s says how it is used, and its version", async (name, program, word) => {
    const help = await run(program, ["--help"]);
    expect([help.exitCode, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toMatch(new RegExp(`^Usage: ${name} (?!${name})`));
    expect(help.stdout).toContain(word);
    expect(await run(program, ["--version"])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\d+\.\d/) });
  });

  test("without a stack or a project the next command is named", async () => {
    const { exitCode, stderr } = await run(runAgentCli, ["3", "url"]);
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining("next: Run: agent-harness launch 3")]);
    expect((await run(runHarness, ["launch", "3"])).exitCode).toBe(3);
    expect((await run(runHarness, ["launch", "3", "--env", "no-pair"])).stderr).toContain("--env wants KEY=value");
  });
});

test("agent-cli exec runs in the stack's folder with its variables only; its exit code is ours", async () => {
  const workdir = join(home, "work");
  await mkdir(join(home, "stacks/40"), { recursive: true });
  await mkdir(workdir);
  await writeFile(join(workdir, ".env.agent.40"), "AGENT_ID=40\nODD='a $b \"c\"'\n");
  const now = new Date().toISOString();
  const ledger = { version: 1, id: 40, project: "p", repository: workdir, workdir, configPath: "", status: "ready" };
  const rest = { createdAt: now, updatedAt: now, ports: {}, urls: {}, resources: [], processes: [] };
  await writeFile(join(home, "stacks/40/ledger.json"), JSON.stringify({ ...ledger, ...rest }));
  const script = 'printf "%s|%s|%s|%s" "$PWD" "$ODD" "$LEAKY" "$*" > out; exit 7';
  const leaky = { LEAKY: "x" };
  expect(await run(runAgentCli, ["40", "exec", "--", "sh", "-c", script, "sh", "-h", "--json"], leaky)).toEqual({
    exitCode: 7,
    stdout: "",
    stderr: "",
  });
  expect(await readFile(join(workdir, "out"), "utf8")).toBe(`${workdir}|a $b "c"||-h --json`);
  expect((await run(runAgentCli, ["40", "exec", "sh", "-c", "kill -KILL $$"])).exitCode).toBe(137);
  expect(await run(runAgentCli, ["40", "exec", "no-such-program", "-x"])).toMatchObject({ exitCode: 3, stdout: "" });
});
