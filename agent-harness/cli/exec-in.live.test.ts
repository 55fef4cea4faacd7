import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Engine, openEngine } from "../infra/compose/engine.ts";
import { containerTail } from "../infra/compose/logs.ts";
import { findRecord } from "../infra/record.ts";
import { homePaths, packageRoot } from "../shared/paths.ts";
import { findExecutable } from "../shared/words.ts";
import { hasDocker } from "../testing/docker.ts";
import { openHarness, type TestHarness, writeProject } from "../testing/harness.ts";
import { until } from "../testing/until.ts";

const run = promisify(execFile);
const script = join(packageRoot(), "dist", "bin", "agent-cli.js");
const config =
  "name: small\nports: {}\nsettleMs: 50\ndatabase: { pool: 0 }\nprocesses: { idle: { command: node idle.mjs } }\n";

describe.skipIf(!hasDocker)("with Docker: exec --in", () => {
  let h: TestHarness;
  let repo: string;
  let engine: Engine;
  let project: string;

  beforeAll(async () => {
    h = await openHarness({ driver: "compose" });
    repo = await writeProject({ "agent-harness.yml": config });
    const { exitCode, stderr } = await h.harness(repo, "launch", "33");
    expect(exitCode, stderr).toBe(0);
    const compose = (await findRecord(homePaths(h.home)))?.compose;
    project = compose?.project ?? "";
    engine = await openEngine({ host: compose?.engine ?? "", source: "the record" });
  });
  afterAll(async () => {
    await h?.[Symbol.asyncDispose]();
    if (repo !== undefined) await rm(repo, { recursive: true, force: true });
  });

  /** Starts `agent-cli 33 …` in a process of its own, whose input stays open. */
  const start = (...argv: string[]) =>
    spawn(process.execPath, [script, "33", ...argv], { cwd: repo, env: h.env, stdio: ["pipe", "pipe", "pipe"] });

  /** Runs it to its end on this input. */
  async function exec(argv: string[], input: Buffer | string = "") {
    const child = start("exec", ...argv);
    const chunks: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (text) => (stderr += text));
    // A program may end before it has read all.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    const [exitCode] = await once(child, "close");
    const bytes = Buffer.concat(chunks);
    return { exitCode, stdout: bytes.toString("utf8"), stderr, bytes };
  }

  const containerOf = async (name: string) => {
    const found = (await engine.containers(project)).find((one) => one.service === name);
    return engine.docker.getContainer(found?.id ?? name);
  };

  /** The command lines in the database's container that hold a text. */
  async function inside(text: string): Promise<string[]> {
    const { Processes } = (await (await containerOf("db")).top({ ps_args: "-eo pid,args" })) as {
      Processes: string[][];
    };
    return Processes.map((words) => words.join(" ")).filter((line) => line.includes(text));
  }

  const appears = (text: string) => until(`${text} runs`, async () => (await inside(text)).length > 0);
  const vanishes = (text: string) => until(`${text} is gone`, async () => (await inside(text)).length === 0);

  describe("streams and words", () => {
    test("psql is in the agent's own database", async () => {
      const query = "select current_database() || ' ' || current_user";
      expect(await exec(["--in", "db", "psql", "-Atc", query])).toMatchObject({
        exitCode: 0,
        stdout: "agent_33 postgres\n",
        stderr: "",
      });
    });

    test("each service has the agent's place in its environment, by either name, and no secret", async () => {
      const secrets = ["PGPASSWORD", "SECRET_KEY", "ACCESS_KEY"].map((name) => new RegExp(`^[A-Z0-9_]*${name}=`, "m"));
      for (const word of ["db", "minio", "headless-browser", "mailpit", "s3"]) {
        const { stdout, exitCode } = await exec(["--in", word, "env"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain("AGENT_ID=33\n");
        expect(stdout.includes("S3_BUCKET=agent-33\n")).toBe(word === "minio" || word === "s3");
        for (const secret of secrets) expect(stdout).not.toMatch(secret);
      }
    });

    test("words come through as they are", async () => {
      const words = ["a  b", '"c"', "d'e", "$HOME", "", "--all", "--in", "--json", "two\nlines", "*", "ü"];
      const { stdout, exitCode } = await exec(["--in", "db", "sh", "-c", 'printf "%s|" "$@"', "sh", ...words]);
      expect([exitCode, stdout]).toEqual([0, words.map((word) => `${word}|`).join("")]);
    });

    test.each([0, 3, 126, 127])("exit code %i is ours", async (code) => {
      const ended = await exec(["--in", "db", "sh", "-c", `exit ${code}`]);
      expect(ended).toMatchObject({ exitCode: code, stdout: "", stderr: "" });
    });

    test("input comes through with its end, output byte for byte, in order", async () => {
      const bytes = randomBytes(3_000_000);
      const ended = await exec(["--in", "db", "cat"], bytes);
      expect(ended.exitCode).toBe(0);
      expect(ended.bytes.equals(bytes)).toBe(true);
      expect((await exec(["--in", "db", "psql", "-At"], "select 6*7;\n\\echo two\n")).stdout).toBe("42\ntwo\n");
    });

    test("a program may end before it has read its input", async () => {
      const ended = await exec(["--in", "db", "head", "-c", "5"], Buffer.alloc(20_000_000, "x"));
      expect(ended).toMatchObject({ exitCode: 0, stdout: "xxxxx", stderr: "" });
    });

    test("errors stay apart from output, and both come whole after the program has closed its own", async () => {
      const text = "echo out; echo err >&2; exec >&- 2>&-; sleep 0.3; exit 4";
      expect(await exec(["--in", "db", "sh", "-c", text])).toMatchObject({
        exitCode: 4,
        stdout: "out\n",
        stderr: "err\n",
      });
    });

    test("output that begins like the engine's own words is output", async () => {
      const text = "OCI runtime exec failed: not at all\nmore\n";
      const ended = await exec(["--in", "db", "sh", "-c", 'printf %s "$1"; sleep 0.1; exit 126', "sh", text]);
      expect(ended).toMatchObject({ exitCode: 126, stdout: text, stderr: "" });
    });
  });

  describe("what cannot run", () => {
    test("a program that is not in the container", async () => {
      const { exitCode, stdout, stderr } = await exec(["--in", "mailpit", "no-such-program", "-x"]);
      expect([exitCode, stdout]).toEqual([3, ""]);
      const name = `${project}-mailpit-1`;
      expect(stderr).toContain(
        `error EXECUTABLE_NOT_FOUND: There is no program "no-such-program" in the container ${name} of mail.\n`,
      );
      expect(stderr).toContain("agent-cli 33 exec --in mail sh -c '…'");
    });

    test("a file that is no program", async () => {
      const { exitCode, stdout, stderr } = await exec(["--in", "db", "/etc/passwd"]);
      expect([exitCode, stdout]).toEqual([3, ""]);
      expect(stderr).toContain(
        `"/etc/passwd" cannot be run in the container ${project}-db-1 of postgres: permission denied`,
      );
    });

    test("a container that does not run, until infra up", async () => {
      await (await containerOf("mailpit")).stop({ t: 1 });
      const { exitCode, stderr } = await exec(["--in", "mail", "true"]);
      expect(exitCode).toBe(6);
      expect(stderr).toBe(
        `error INFRA_DOWN: The container ${project}-mailpit-1 of mail does not run: it is exited.\nnext: Run: agent-harness infra up\n`,
      );
      expect((await h.harness(repo, "infra", "up")).exitCode).toBe(0);
      expect((await exec(["--in", "mail", "true"])).exitCode).toBe(0);
    });

    test("a container that ends under a program", async () => {
      const child = start("exec", "--in", "mail", "sleep", "1000");
      let stderr = "";
      child.stderr.on("data", (text) => (stderr += text));
      const closed = once(child, "close");
      const container = await containerOf("mailpit");
      await until("sleep runs", async () => JSON.stringify(await container.top()).includes("sleep 1000"));
      await container.stop({ t: 1 });
      const [exitCode] = await closed;
      expect((await h.harness(repo, "infra", "up")).exitCode).toBe(0);
      expect([exitCode, stderr]).toEqual([137, ""]);
    });
  });

  describe("interrupted", () => {
    let child: ChildProcess;
    let mark: string;
    beforeEach(() => {
      mark = `mark-${randomUUID()}`;
    });
    afterEach(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await vanishes(mark);
      // Postgres starts over when a killed process is left for it to collect.
      const { id } = await containerOf("db");
      expect((await containerTail(engine, id, 100)).join("\n")).not.toContain("server processes terminated");
    });

    /** Starts a shell script that bears the mark, and waits until it runs. */
    async function begin(text: string): Promise<void> {
      child = start("exec", "--in", "db", "sh", "-c", text, mark);
      await appears(mark);
    }

    test.each([
      ["SIGINT", 130],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
    ] as const)("%s ends the program and all that it started", async (signal, code) => {
      await begin('sh -c "sleep 1000; :" "$0" & setsid sh -c "sleep 1000; :" "$0" & sleep 1000; :');
      await until(
        "all three run",
        async () => (await inside(mark)).filter((line) => !line.includes("signal()")).length >= 3,
      );
      child.kill(signal);
      expect((await once(child, "close"))[0]).toBe(code);
      expect(await inside(mark)).toEqual([]);
    });

    test("SIGINT is the program's to answer; SIGTERM is not, for long", async () => {
      await begin('trap "echo caught" INT; trap "" TERM; echo ready; while :; do sleep 0.1; done');
      let stdout = "";
      child.stdout?.on("data", (text) => (stdout += text));
      await until("it is ready", () => stdout.includes("ready"));
      child.kill("SIGINT");
      await until("it has caught the signal", () => stdout.includes("caught"));
      expect(await inside(mark)).not.toEqual([]);
      child.kill("SIGTERM");
      expect((await once(child, "close"))[0]).toBe(137);
      expect(await inside(mark)).toEqual([]);
    });

    test("killed, it takes the program with it all the same", async () => {
      await begin('setsid sh -c "sleep 1000; :" "$0" & sleep 1000; :');
      child.kill("SIGKILL");
      await vanishes(mark);
    });

    test("a reader that goes away ends it", async () => {
      await begin("while :; do echo more; done");
      child.stdout?.destroy();
      expect((await once(child, "close"))[0]).toBe(141);
      expect(await inside(mark)).toEqual([]);
    });

    test("what a program leaves behind on purpose stays", async () => {
      const { exitCode } = await exec(["--in", "db", "sh", "-c", 'sh -c "sleep 1000; :" "$0" >/dev/null 2>&1 &', mark]);
      expect([exitCode, (await inside(mark)).length]).toEqual([0, 1]);
      await exec(["--in", "db", "pkill", "-f", mark]);
    });
  });

  describe("on a terminal", () => {
    let bin: string;
    let socket: string;
    beforeEach(async () => {
      socket = `ah-${randomUUID().slice(0, 8)}`;
      bin = await mkdtemp(join(tmpdir(), "ah-path-"));
      const path = (h.env["PATH"] ?? "").split(":");
      for (const name of ["docker", "docker-compose", "stty"]) {
        const found = await findExecutable(name, { cwd: "/", path });
        if (found !== undefined) await symlink(found, join(bin, name));
      }
      await tmux("new-session", "-d", "-x", "100", "-y", "30", "env", `PATH=${bin}`, "PS1=here$ ", "/bin/sh");
      await until("the shell is there", async () => (await screen()).includes("here$"));
    });
    afterEach(async () => {
      // One test has done it already.
      await tmux("kill-server").catch(() => undefined);
      await rm(bin, { recursive: true, force: true });
    });

    const tmux = async (...argv: string[]): Promise<string> =>
      (await run("tmux", ["-L", socket, "-f", "/dev/null", ...argv], { cwd: repo, env: h.env })).stdout;
    const screen = (): Promise<string> => tmux("capture-pane", "-p", "-S", "-200");
    const shows = async (pattern: RegExp): Promise<void> => {
      const seen = async () => pattern.test(await screen());
      await until("it is on the screen", seen, 20_000).catch(async () => expect(await screen()).toMatch(pattern));
    };

    /** Types a line; tmux would take a last semicolon for its own. */
    async function type(line: string): Promise<void> {
      await tmux("send-keys", "-l", line.replace(/;$/, "\\;"));
      await tmux("send-keys", "Enter");
    }

    test("psql opens in the container where this machine has none, and gives the terminal back", async () => {
      await type(`'${process.execPath}' '${script}' 33 psql`);
      await shows(/^agent_33=# *$/m);
      await type("select current_database();");
      await shows(/^ current_database\s*\n-+\n agent_33\n/m);
      await type("\\! stty size");
      await shows(/^30 100$/m);
      await tmux("resize-window", "-x", "90", "-y", "25");
      await type("\\! echo now $(stty size)");
      await shows(/^now 25 90$/m);
      await type("select pg_sleep(1000);");
      await until("the query runs", async () => (await h.agent(repo, "33", "psql", running)).stdout.includes("one"));
      await tmux("send-keys", "C-c");
      await shows(/^ERROR: {2}canceling statement due to user request$/m);
      await type("\\q");
      await shows(/^here\$ *$/m);
      await type("echo code $?; stty -a");
      await shows(/^code 0$/m);
      await shows(/ icanon .*/);
      expect(await screen()).toMatch(/(?<!-)\bicanon\b[\s\S]*(?<!-)\becho\b/);
    });

    test("a signal ends what runs there, and the terminal is given back", async () => {
      const mark = `mark-${randomUUID()}`;
      await type(`'${process.execPath}' '${script}' 33 exec --in db sh -c 'echo begun; sleep 1000; :' ${mark}`);
      await shows(/^begun$/m);
      const { stdout } = await run("pgrep", ["-f", `agent-cli.js 33 exec --in db .*${mark}`]);
      for (const pid of stdout.trim().split("\n")) process.kill(Number(pid), "SIGTERM");
      await shows(/^here\$ *$/m);
      await type("echo code $?; stty -a");
      await shows(/^code 143$/m);
      await shows(/ icanon .*/);
      expect(await screen()).toMatch(/(?<!-)\bicanon\b[\s\S]*(?<!-)\becho\b/);
      expect(await inside(mark)).toEqual([]);
    });

    test("a terminal that goes away takes the program with it", async () => {
      const mark = `mark-${randomUUID()}`;
      await type(`'${process.execPath}' '${script}' 33 exec --in db sh -c 'echo begun; sleep 1000; :' ${mark}`);
      await shows(/^begun$/m);
      await tmux("kill-server");
      await vanishes(mark);
    });
  });
});

/** Whether a psql sleeps in the server. */
const running = "select 'one' where exists (select from pg_stat_activity where query = 'select pg_sleep(1000);')";
