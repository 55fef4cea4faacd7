import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PlannedCommand, PlannedStage, VerifyPlan } from "./plan.ts";
import type { VerifyEvent } from "./report.ts";
import { type VerifyOptions, verify } from "./verify.ts";

let root = "";
let workdir = "";
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "verify-")));
  workdir = join(root, "work");
  mkdirSync(workdir);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (path: string, text = ""): string => {
  mkdirSync(dirname(join(workdir, path)), { recursive: true });
  writeFileSync(join(workdir, path), text);
  return join(workdir, path);
};
const node = (code: string, more: Partial<PlannedCommand & { type: "run" }> = {}): PlannedCommand => ({
  type: "run",
  label: "script",
  argv: [process.execPath, "-e", code],
  get cwd() {
    return workdir;
  },
  ...more,
});
const stage = (name: string, commands: PlannedCommand[], more: Partial<PlannedStage> = {}): PlannedStage => ({
  name,
  full: false,
  heavy: false,
  timeoutMs: 60_000,
  commands,
  ...more,
});
const plan = (...stages: PlannedStage[]): VerifyPlan => ({
  workdir,
  env: { PATH: process.env["PATH"] ?? "", MESSAGE: `it's "x" \`y\` $HOME\nz` },
  cacheFolder: join(root, "cache"),
  logFolder: join(root, "logs"),
  stages,
});
const git = (...args: string[]): void => {
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], { cwd: workdir, stdio: "pipe" });
};
const pass = node("0");
const fail = node("process.exit(1)");

describe("the stages", () => {
  test("the JSON is the seed's", async () => {
    const report = await verify(plan(stage("typecheck", [pass]), stage("lint", [fail]), stage("test", [pass])));
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({
      status: "fail",
      stages: [
        { name: "typecheck", status: "pass", duration_ms: expect.any(Number) },
        { name: "lint", status: "fail", first_error: "script exited with code 1 and printed nothing" },
      ],
      total_duration_ms: expect.any(Number),
    });
    expect(report.stages).toHaveLength(2);
    expect(report.stages[0]).not.toHaveProperty("first_error");
  });

  test.each<[string, VerifyOptions, string[]]>([
    ["a red stage ends it", {}, ["a", "b"]],
    ["keepGoing goes on", { keepGoing: true }, ["a", "b", "c"]],
    ["full adds the full ones", { keepGoing: true, full: true }, ["a", "b", "c", "d"]],
    ["only runs what is named, full or not, in the plan's order", { only: ["d", "a"] }, ["a", "d"]],
  ])("%s", async (_, options, ran) => {
    const all = plan(stage("a", [pass]), stage("b", [fail]), stage("c", [pass]), stage("d", [pass], { full: true }));
    expect((await verify(all, options)).stages.map((one) => one.name)).toEqual(ran);
  });

  test("nothing to run is no pass", async () => {
    const refused = { code: "VERIFY_EMPTY" };
    await expect(verify(plan())).rejects.toMatchObject(refused);
    await expect(verify(plan(stage("a", [])))).rejects.toMatchObject(refused);
    await expect(verify(plan(stage("a", [{ ...pass, argv: [] } as PlannedCommand])))).rejects.toMatchObject(refused);
    await expect(verify(plan(stage("a", [pass], { full: true })))).rejects.toMatchObject(refused);
  });

  test("an unknown stage is named, with those there are", async () => {
    const error = verify(plan(stage("lint", [pass])), { only: ["lnit"] });
    await expect(error).rejects.toMatchObject({ code: "USAGE", hint: "Choose among: lint." });
  });

  test("events tell what happens, in order", async () => {
    const events: VerifyEvent[] = [];
    await verify(plan(stage("a", [node("console.log(process.env.MESSAGE)")])), { onEvent: (one) => events.push(one) });
    expect(events.map((one) => one.type)).toEqual([
      "stage-start",
      "output",
      "output",
      "command-done",
      "stage-done",
      "done",
    ]);
    expect(events[1]).toEqual({ type: "output", stage: "a", command: "script", line: `it's "x" \`y\` $HOME` });
  });
});

describe("the commands of a stage", () => {
  test("run in parallel, all to their end, and the first of the list that failed is named", async () => {
    // Each waits for the other's file: one after the other they would never end.
    const meet = (mine: string, other: string, exit: number): PlannedCommand =>
      node(
        `const fs = require("fs"); fs.writeFileSync("${mine}", ""); const t = setInterval(() => {
          if (fs.existsSync("${other}")) { clearInterval(t); console.log("${mine}"); process.exitCode = ${exit}; } }, 5);`,
        { label: mine },
      );
    const report = await verify(plan(stage("a", [meet("one", "two", 0), meet("two", "one", 3), fail])));
    expect(report.stages[0]?.commands).toMatchObject([
      { label: "one", status: "pass", exit_code: 0 },
      { label: "two", status: "fail", exit_code: 3 },
      { label: "script", status: "fail", exit_code: 1 },
    ]);
    expect(report.stages[0]?.first_error).toBe("two exited with code 3: two");
  });

  test("an error full of quotes comes through word for word, and the log is whole", async () => {
    put("src/a.ts");
    const text = `src/a.ts(12,5): error TS2304: Cannot find name 'foo' "bar" \`baz\` $HOME \\ %s 日本.`;
    const command = node(`console.log(${JSON.stringify(`noise\n${text}`)}); process.exit(2)`);
    const report = await verify(plan(stage("typecheck", [command, command])));
    expect(report.stages[0]?.first_error).toBe(
      `src/a.ts:12 TS2304: Cannot find name 'foo' "bar" \`baz\` $HOME \\ %s 日本.`,
    );
    expect(readFileSync(report.stages[0]?.log ?? "", "utf8")).toBe(`noise\n${text}\n`);
    expect(readdirSync(join(root, "logs")).sort()).toEqual(["typecheck-script.2.log", "typecheck-script.log"]);
  });

  test("arguments and environment arrive as they are; nothing else of ours does", async () => {
    const words = [`it's`, `"two words"`, "$HOME", "a\nb", "", "`x`", "*"];
    const code =
      "console.log(JSON.stringify([process.argv.slice(1), Object.keys(process.env).sort()])); process.exit(1)";
    const report = await verify(plan(stage("a", [node("", { argv: [process.execPath, "-e", code, ...words] })])));
    const log = JSON.parse(readFileSync(report.stages[0]?.log ?? "", "utf8"));
    expect(log).toEqual([words, ["AGENT_HARNESS_VERIFY", "MESSAGE", "PATH"]]);
  });

  test("a program that is not there, and a folder that is not there", async () => {
    const missing = node("", { argv: ["no-such-program", "x"], label: "unit" });
    const report = await verify(plan(stage("a", [missing])));
    expect(report.stages[0]?.first_error).toBe("unit: no-such-program was not started: no such program in PATH");
    const lost = await verify(plan(stage("a", [node("0", { cwd: join(workdir, "lost") })])));
    expect(lost.stages[0]?.first_error).toContain(`its folder ${join(workdir, "lost")} is missing`);
    put("bad.sh", "#!/no/such/shell\n");
    execFileSync("chmod", ["+x", join(workdir, "bad.sh")]);
    const script = await verify(plan(stage("a", [node("", { argv: ["./bad.sh"], label: "bad" })])));
    expect(script.stages[0]?.first_error).toMatch(/^bad: \.\/bad\.sh was not started: .*ENOENT/);
  });

  test("one that was killed says by what", async () => {
    const report = await verify(plan(stage("a", [node("process.kill(process.pid, 'SIGKILL')")])));
    expect(report.stages[0]?.first_error).toBe("script was ended by SIGKILL and printed nothing");
  });
});

describe("URLs", () => {
  test("200 passes; another answer and none at all are told apart", async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === "/ok" ? 200 : 503;
      response.end(`it's "down"\n  for now`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const ask = async (path: string): Promise<unknown> =>
      (await verify(plan(stage("smoke", [{ type: "http", label: "health", url: url + path }])))).stages[0];
    try {
      expect(await ask("/ok")).toMatchObject({ status: "pass" });
      expect(await ask("/bad")).toMatchObject({ first_error: `GET ${url}/bad answered 503: it's "down" for now` });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await ask("/ok")).toMatchObject({ first_error: `GET ${url}/ok could not be reached: ECONNREFUSED` });
  });
});

describe("changed files", () => {
  const printed = (path: string | undefined): unknown => JSON.parse(readFileSync(path ?? "", "utf8"));
  const unit = (since = "HEAD"): PlannedCommand =>
    node("console.log(JSON.stringify(process.argv.slice(1)))", {
      cwd: join(workdir, "api"),
      changed: { globs: ["api/**/*.ts"], since },
    });

  test("are appended, relative to the command's folder; without any the command is left out", async () => {
    for (const path of ["api/a.ts", "api/gone.ts", "web/b.ts"]) put(path);
    git("init", "-qb", "main");
    git("add", ".");
    git("commit", "-qm", "start");
    const none = await verify(plan(stage("unit", [unit()])));
    expect(none).toMatchObject({ status: "pass", stages: [{ status: "pass", skipped: true }] });
    expect(none.stages[0]?.commands).toMatchObject([{ status: "pass", skipped: "no changed files match" }]);
    put("api/a.ts", "changed");
    put("web/b.ts", "changed");
    put("api/it's new.ts", "new");
    put("api/-n.ts", "new");
    rmSync(join(workdir, "api/gone.ts"));
    const some = await verify(plan(stage("unit", [unit()])));
    expect(printed(some.stages[0]?.commands?.[0]?.log)).toEqual(["./-n.ts", "a.ts", "it's new.ts"]);
    expect(some.stages[0]).not.toHaveProperty("skipped");
    git("checkout", "-qb", "work");
    git("add", ".");
    git("commit", "-qm", "work");
    const since = await verify(plan(stage("unit", [unit("main")])));
    expect(printed(since.stages[0]?.commands?.[0]?.log)).toEqual(["./-n.ts", "a.ts", "it's new.ts"]);
  });

  test("since a ref that is not there is an error, not a pass", async () => {
    put("api/a.ts");
    git("init", "-q");
    expect((await verify(plan(stage("unit", [unit()])))).stages[0]).not.toHaveProperty("skipped");
    await expect(verify(plan(stage("unit", [unit("nowhere")])))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(verify(plan(stage("unit", [unit("--all")])))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
