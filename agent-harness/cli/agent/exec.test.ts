import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newRecord, writeRecord } from "../../infra/record.ts";
import type { DriverName } from "../../infra/services.ts";
import { homePaths } from "../../shared/paths.ts";
import { infraPorts } from "../../shared/settings.ts";
import { runAgentCli } from "../index.ts";
import { main } from "../main.ts";
import { exec } from "./exec.ts";

/** What the command gets of a command line. */
async function parsed(...argv: string[]): Promise<unknown> {
  let given: unknown;
  const run = async (words: unknown, options: unknown): Promise<number> => {
    given = { words, in: (options as Record<string, unknown>)["in"] };
    return 0;
  };
  const program = { name: "agent-cli", description: "", version: "1", commands: [{ ...exec, run }, other] };
  let stderr = "";
  const streams = { live: false, stdout: () => undefined, stderr: (text: string) => (stderr += text) };
  const exitCode = await main({ ...program, passThrough: ["exec"] }, ["exec", ...argv], streams);
  return exitCode === 0 ? given : `${exitCode} ${stderr.split("\n")[0]}`;
}

/** A program of one command would have no names. */
const other = { usage: "other", summary: "another", run: async () => undefined };

describe("exec takes --in before the program, and leaves what stands behind it to the program", () => {
  test.each<[string[], string | undefined, string[]]>([
    [["--in", "db", "psql", "-c", "select 1"], "db", ["psql", "-c", "select 1"]],
    [["--in=db", "ls", "--all"], "db", ["ls", "--all"]],
    [["--in", "db", "ls", "--in", "/", "--json", "--help"], "db", ["ls", "--in", "/", "--json", "--help"]],
    [["--in", "s3", "--", "ls", "--", "-x", ""], "s3", ["ls", "--", "-x", ""]],
    [["ls", "--in", "db"], undefined, ["ls", "--in", "db"]],
    [["--", "--in", "db"], undefined, ["--in", "db"]],
  ])("%j", async (argv, service, words) => {
    expect(await parsed(...argv)).toEqual({ words, in: service });
  });

  test("no program and no service are usage errors", async () => {
    expect(await parsed("--in", "db")).toBe("2 error USAGE: agent-cli exec: missing required argument 'command'.");
    expect(await parsed("--in")).toBe("2 error USAGE: agent-cli exec: option '--in <service>' argument missing.");
  });
});

describe("exec --in where there is no container", () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "ah-exec-"));
    await mkdir(join(home, "stacks/31"), { recursive: true });
    const now = new Date().toISOString();
    const ledger = {
      version: 1,
      id: 31,
      project: "p",
      repository: home,
      workdir: home,
      configPath: join(home, "c.yml"),
    };
    const rest = { status: "ready", createdAt: now, updatedAt: now, ports: {}, urls: {}, resources: [], processes: [] };
    await writeFile(join(home, "stacks/31/ledger.json"), JSON.stringify({ ...ledger, ...rest }));
    await writeFile(join(home, "c.yml"), "name: p\nprocesses: { idle: { command: node idle.mjs } }\n");
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  /** Runs agent-cli for agent 31 with nothing on its PATH; gives its exit code and what it said. */
  async function refusal(argv: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const printed = { stdout: "", stderr: "" };
    const exitCode = await runAgentCli(["31", ...argv], {
      cwd: home,
      env: { PATH: home, AGENT_HARNESS_HOME: home, ...env },
      live: false,
      stdout: (text) => (printed.stdout += text),
      stderr: (text) => (printed.stderr += text),
    });
    expect(printed.stdout).toBe("");
    return `${exitCode} ${printed.stderr}`;
  }

  const runsOn = (driver: DriverName): Promise<void> => writeRecord(homePaths(home), newRecord(driver, infraPorts({})));

  test("an unknown service is told the known ones", async () => {
    expect(await refusal(["exec", "--in", "redis", "ls"])).toBe(
      '4 error SERVICE_UNKNOWN: There is no service "redis".\n' +
        "next: Services: postgres, s3, browser, mail (or db, minio, headless-browser, mailpit).\n",
    );
  });

  test("infra that is down is told how to start it", async () => {
    const down = "6 error INFRA_DOWN: The shared services do not run.\nnext: Run: agent-harness infra up\n";
    expect(await refusal(["exec", "--in", "db", "psql"])).toBe(down);
  });

  test.each([
    ["db", "postgres", "For SQL run: agent-cli 31 psql. For a program of this machine, with the stack's variables: "],
    ["mailpit", "mail", "For a program of this machine, with the stack's variables, run: "],
  ])("the embedded %s has none", async (word, service, hint) => {
    await runsOn("embedded");
    expect(await refusal(["exec", "--in", word, "ls", "--json"])).toBe(
      `4 error CONTAINER_MISSING: There is no container of ${service}: the services run by the driver embedded.\n` +
        `next: ${hint}agent-cli 31 exec <program>\n`,
    );
  });

  test("an external server has none, whatever the driver of the others", async () => {
    await runsOn("compose");
    const text = await refusal(["exec", "--in", "db", "psql"], {
      AGENT_HARNESS_POSTGRES_URL: "postgres://u:hunter2@127.0.0.1:1",
    });
    expect(text).toContain("4 error CONTAINER_MISSING: There is no container of postgres: the config names a server ");
    expect(text).toContain("next: For SQL run: agent-cli 31 psql.");
    expect(text).not.toContain("hunter2");
  });
});
