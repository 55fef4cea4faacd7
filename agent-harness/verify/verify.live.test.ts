import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { packageRoot } from "../shared/paths.ts";
import { isAlive } from "../shared/process-tree.ts";
import { type PlannedCommand, type PlannedStage, planStages, type VerifyPlan } from "./plan.ts";
import type { StageReport, VerifyEvent } from "./report.ts";
import { verify } from "./verify.ts";

let root = "";
let workdir = "";
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "verify-live-")));
  workdir = join(root, 'it\'s a "repo" $HOME');
  mkdirSync(workdir);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (path: string, text = ""): void => {
  mkdirSync(dirname(join(workdir, path)), { recursive: true });
  writeFileSync(join(workdir, path), text);
};
const plan = (...stages: PlannedStage[]): VerifyPlan => ({
  workdir,
  env: Object.fromEntries(
    ["PATH", "HOME", "GOPATH", "RUSTUP_HOME", "CARGO_HOME"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  ),
  cacheFolder: join(root, "cache"),
  logFolder: join(root, "logs"),
  stages,
});
const node = (code: string, more: Partial<PlannedCommand & { type: "run" }> = {}): PlannedCommand => ({
  type: "run",
  label: "script",
  argv: [process.execPath, "-e", code],
  cwd: workdir,
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

/** Runs one command line of a project config, in the planted folder. */
async function prove(command: string | { run: string; cwd: string }): Promise<StageReport | undefined> {
  const config = configSchema.parse({ verify: { stages: [{ name: "proof", commands: [command] }] } });
  const report = await verify(plan(...planStages(config.verify, (text) => text, workdir)));
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  expect(report.status).toBe("fail");
  return report.stages[0];
}
const useOurPackages = (folder = "."): void => {
  mkdirSync(join(workdir, folder), { recursive: true });
  symlinkSync(join(packageRoot(), "node_modules"), join(workdir, folder, "node_modules"));
};
const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;

const broken = `export const label: string = 'it\\'s "x" \`y\` $HOME';\nexport const n: 'a"b' = label;\n`;
const typeError = `TS2322: Type 'string' is not assignable to type '"a\\"b"'.`;

describe("real tools that fail on files full of quotes", () => {
  test.each(["tsc -p .", "tsc -p . --pretty"])("%s", async (command) => {
    useOurPackages("packages/api");
    put("packages/api/src/x.ts", broken);
    put("packages/api/tsconfig.json", '{"compilerOptions":{"strict":true,"noEmit":true,"types":[]},"include":["src"]}');
    const found = await prove({ run: command, cwd: "packages/api" });
    expect(found?.first_error).toBe(`packages/api/src/x.ts:2 ${typeError}`);
    expect(readFileSync(found?.log ?? "", "utf8")).toContain("TS2322");
  });

  test("a script of npm in a workspace, which does not say its folder before the error", async () => {
    useOurPackages();
    put("package.json", '{"name":"root","private":true,"workspaces":["packages/*"]}');
    for (const name of ["api", "web"]) {
      put(`packages/${name}/package.json`, JSON.stringify({ name, version: "1.0.0", scripts: { check: "tsc -p ." } }));
      put(`packages/${name}/tsconfig.json`, '{"compilerOptions":{"strict":true,"noEmit":true,"types":[]}}');
      put(`packages/${name}/src/x.ts`, name === "web" ? broken : "export {};\n");
    }
    const found = await prove("npm run check --workspaces");
    expect(found?.first_error).toBe(`packages/web/src/x.ts:2 ${typeError}`);
  });

  test("biome", async () => {
    useOurPackages();
    put("biome.json", "{}");
    put("src/it's.ts", `export const f = (a: string) => a == 'it\\'s "x"';\n`);
    const found = await prove("biome lint src");
    expect(found?.first_error).toBe(
      "src/it's.ts:1 Using == may be unsafe if you are relying on type coercion. (lint/suspicious/noDoubleEquals)",
    );
  });

  test("vitest", async () => {
    useOurPackages();
    put("vitest.config.mjs", "export default { cacheDir: '.vite' };\n");
    put(
      "src/x.test.ts",
      `import { expect, test } from "vitest";\ntest("it's > \\"this\\"", () => {\n  expect("a'b\\n\\"c\\"").toBe('\`d\` $HOME');\n});\n`,
    );
    const found = await prove("vitest run");
    expect(found?.first_error).toBe(
      `src/x.test.ts:3 AssertionError: expected 'a\\'b\\n"c"' to be '\`d\` $HOME' // Object.is equality`,
    );
  });
});

describe("tools of other languages, where the machine has them", () => {
  test.skipIf(!has("python3", "-m", "pytest", "--version"))("pytest", async () => {
    put("tests/test_x.py", `def test_x():\n    assert "it's \\"x\\"" == '\`y\` $HOME'\n`);
    const found = await prove("python3 -B -m pytest -p no:cacheprovider");
    expect(found?.first_error).toBe(`tests/test_x.py:2 assert 'it\\'s "x"' == '\`y\` $HOME'`);
  });

  test.skipIf(!has("go", "version"))("go", async () => {
    put("go.mod", "module example.com/m\n\ngo 1.18\n");
    put(
      "sub/x_test.go",
      'package sub\n\nimport "testing"\n\nfunc TestX(t *testing.T) {\n\tt.Errorf("it\'s %q $HOME", "`y`")\n}\n',
    );
    put("other/x_test.go", "package other\n");
    expect((await prove("go test ./..."))?.first_error).toBe(`sub/x_test.go:6 it's "\`y\`" $HOME`);
    put("sub/y.go", "package sub\n\nvar X = missing\n");
    expect((await prove({ run: "go vet .", cwd: "sub" }))?.first_error).toBe("sub/y.go:3 undefined: missing");
  });

  test("a Node script that throws", async () => {
    put("scripts/x.mjs", `throw new Error('it\\'s "x" $HOME');\n`);
    expect((await prove("node scripts/x.mjs"))?.first_error).toBe(`scripts/x.mjs:1 Error: it's "x" $HOME`);
  });

  test("the same tools pass, and git sees nothing of the harness in the folder", async () => {
    useOurPackages();
    put(".gitignore", "node_modules\n");
    put("tsconfig.json", '{"compilerOptions":{"strict":true,"noEmit":true,"types":[]},"include":["src"]}');
    put("src/x.ts", "export const x: number = 1;\n");
    execFileSync("git", ["init", "-q"], { cwd: workdir });
    const config = { stages: [{ name: "typecheck", commands: ["tsc -p ."], inputs: ["src", "tsconfig.json"] }] };
    const stages = planStages(configSchema.parse({ verify: config }).verify, (text) => text, workdir);
    expect(await verify(plan(...stages))).toMatchObject({ status: "pass" });
    expect(await verify(plan(...stages))).toMatchObject({ status: "pass", stages: [{ cached: true }] });
    expect(readdirSync(workdir).sort()).toEqual([".git", ".gitignore", "node_modules", "src", "tsconfig.json"]);
  });
});

describe("time limits", () => {
  const sleeper = (file: string): string =>
    `require("fs").writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1000);`;
  const pidIn = (path: string): number => Number(readFileSync(path, "utf8"));

  async function pollUntil(what: () => boolean): Promise<void> {
    await expect.poll(what, { timeout: 10_000, interval: 20 }).toBe(true);
  }

  test("a late stage fails, and its whole tree is stopped, even what left the tree", async () => {
    const child = join(root, "child.pid");
    const daemon = join(root, "daemon.pid");
    const code = `const { spawn } = require("child_process");
      spawn(process.execPath, ["-e", ${JSON.stringify(sleeper(child))}], { stdio: "inherit" });
      spawn(process.execPath, ["-e", ${JSON.stringify(sleeper(daemon))}], { stdio: "inherit", detached: true }).unref();
      console.log("started"); process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);`;
    const report = await verify(
      plan(stage("typecheck", [node("0"), node(code, { label: "slow" })], { timeoutMs: 1500 })),
    );
    expect(report.stages[0]).toMatchObject({
      status: "fail",
      first_error: "stage typecheck did not finish within 1500 ms: slow",
    });
    await pollUntil(() => !isAlive(pidIn(child)) && !isAlive(pidIn(daemon)));
  }, 15_000);

  test("stopping from outside ends it with a report that says so", async () => {
    const file = join(root, "pid");
    const stopper = new AbortController();
    const running = verify(plan(stage("a", [node(sleeper(file))]), stage("b", [node("0")])), {
      signal: stopper.signal,
    });
    await pollUntil(() => readdirSync(root).includes("pid") && pidIn(file) > 0);
    stopper.abort();
    const report = await running;
    expect(report).toMatchObject({ status: "fail", stages: [{ first_error: "stage a was stopped: script" }] });
    expect(report.stages).toHaveLength(1);
    await pollUntil(() => !isAlive(pidIn(file)));
  }, 15_000);

  test("a command that ends and leaves something that holds its output open does not hang", async () => {
    const file = join(root, "pid");
    const code = `const c = require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(sleeper(file))}],
      { stdio: "inherit", detached: true }); c.unref();
      const t = setInterval(() => { if (require("fs").existsSync(${JSON.stringify(file)})) clearInterval(t); }, 10);`;
    const report = await verify(plan(stage("a", [node(code)])));
    expect(report.status).toBe("pass");
    await pollUntil(() => !isAlive(pidIn(file)));
  }, 15_000);
});

test("output by the hundred megabytes does not fill our memory", async () => {
  const code = `const line = "x".repeat(99) + "\\n"; const block = line.repeat(10000); let n = 60;
    const go = () => { while (n-- > 0) if (!process.stdout.write(block)) { process.stdout.once("drain", go); return; } process.exitCode = 1; };
    go();`;
  const before = process.memoryUsage().rss;
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  const report = await verify(plan(stage("a", [node(code)])));
  clearInterval(timer);
  expect(report.stages[0]?.first_error).toBe(`script exited with code 1: ${"x".repeat(99)}`);
  expect(readFileSync(report.stages[0]?.log ?? "").length).toBe(60_000_000);
  expect(peak - before).toBeLessThan(60_000_000);
}, 30_000);

test("heavy stages of two runs take turns, and the one that waited says for whom and how long", async () => {
  const inside = JSON.stringify(join(root, "inside"));
  // "wx" fails when another one is inside at that moment.
  const code = `const fs = require("fs"); fs.writeFileSync(${inside}, "", { flag: "wx" });
    setTimeout(() => fs.unlinkSync(${inside}), 400);`;
  const permits = (doing: string) => ({ folder: join(root, "permits"), count: 1, doing });
  const events: VerifyEvent[] = [];
  const run = (doing: string) =>
    verify(
      { ...plan(stage("tests", [node(code)], { heavy: true })), permits: permits(doing) },
      { onEvent: (event) => events.push(event) },
    );
  const reports = await Promise.all([run("verify of agent 1"), run("verify of agent 2")]);
  expect(reports.map(({ status }) => status)).toEqual(["pass", "pass"]);
  const waits = reports.flatMap(({ stages }) => stages[0]?.waited_ms ?? []);
  expect(waits).toHaveLength(1);
  expect(waits[0]).toBeGreaterThan(200);
  const waiting = events.filter((event) => event.type === "waiting");
  expect(waiting).toEqual([
    {
      type: "waiting",
      stage: "tests",
      for: [{ pid: process.pid, doing: expect.stringMatching(/^verify of agent [12], stage tests$/) }],
    },
  ]);
}, 15_000);
