import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepResult } from "./cache.ts";
import type { PlannedStage, VerifyPlan } from "./plan.ts";
import type { StageReport, VerifyEvent } from "./report.ts";
import { type VerifyOptions, verify } from "./verify.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "verify-cache-"));
  mkdirSync(join(root, "work/src"), { recursive: true });
  write("src/a.ts", "one");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (path: string, text: string): void => writeFileSync(join(root, "work", path), text);
/** How often the stage's command really ran. */
const runs = (): number => readFileSync(join(root, "runs"), "utf8").length;
const command = (code = ""): PlannedStage["commands"][number] => ({
  type: "run",
  label: "count",
  argv: [process.execPath, "-e", `require("fs").appendFileSync("../runs", "x"); ${code}`],
  cwd: join(root, "work"),
});
const plan = (more: Partial<PlannedStage> = {}, env: Record<string, string> = {}): VerifyPlan => ({
  workdir: join(root, "work"),
  env: { PATH: process.env["PATH"] ?? "", ...env },
  cacheFolder: join(root, "cache"),
  logFolder: join(root, "logs"),
  stages: [
    { name: "test", full: false, heavy: false, timeoutMs: 60_000, inputs: ["src/**"], commands: [command()], ...more },
  ],
});
async function run(of: VerifyPlan = plan(), options: VerifyOptions = {}): Promise<StageReport | undefined> {
  return (await verify(of, options)).stages[0];
}

test("the same content is not verified twice, and the report says so", async () => {
  const first = await run();
  expect(first).not.toHaveProperty("cached");
  const second = await run();
  expect(second).toMatchObject({ status: "pass", cached: true, cached_duration_ms: first?.duration_ms });
  expect(runs()).toBe(1);
  write("notes.txt", "not an input");
  expect(await run()).toMatchObject({ cached: true });
  expect(await run(plan(), { cache: false })).not.toHaveProperty("cached");
  expect(runs()).toBe(2);
});

test("another content, file name, command, env or stage is another result", async () => {
  await run();
  write("src/a.ts", "two");
  expect(await run()).not.toHaveProperty("cached");
  write("src/b.ts", "");
  expect(await run()).not.toHaveProperty("cached");
  expect(await run(plan({}, { X: "1" }))).not.toHaveProperty("cached");
  expect(await run(plan({ commands: [command("0")] }))).not.toHaveProperty("cached");
  expect(await run(plan({ name: "other" }))).not.toHaveProperty("cached");
  rmSync(join(root, "work/src/b.ts"));
  write("src/a.ts", "one");
  expect(await run()).toMatchObject({ cached: true });
});

test("only what passed is kept", async () => {
  const red = plan({ commands: [command("process.exit(1)")] });
  expect(await run(red)).toMatchObject({ status: "fail" });
  expect(await run(red)).toMatchObject({ status: "fail" });
  expect(runs()).toBe(2);
});

test("a stage without inputs, and one with a URL, always run", async () => {
  const { inputs: _, ...bare } = plan().stages[0] ?? {
    name: "",
    full: false,
    heavy: false,
    timeoutMs: 0,
    commands: [],
  };
  const open = { ...plan(), stages: [bare] };
  await run(open);
  expect(await run(open)).not.toHaveProperty("cached");
});

test("inputs that match nothing, and a tree that changed meanwhile, are not kept, with a remark", async () => {
  const notes: string[] = [];
  const onEvent = (event: VerifyEvent): void => {
    if (event.type === "note") notes.push(event.text);
  };
  await run(plan({ inputs: ["typo/**"] }), { onEvent });
  const edits = plan({ commands: [command(`require("fs").appendFileSync("src/a.ts", "!")`)] });
  await run(edits, { onEvent });
  expect(notes).toEqual(["not cached: no file matches its inputs", "not cached: its inputs changed while it ran"]);
});

test("a kept result that cannot be read is no result", async () => {
  await run();
  const [entry = ""] = readdirSync(join(root, "cache"));
  for (const text of ["", "{", "null", '{"duration_ms":"x"}']) {
    writeFileSync(join(root, "cache", entry), text);
    expect(await run()).not.toHaveProperty("cached");
    expect(await run()).toMatchObject({ cached: true });
  }
});

test("the oldest results go when there are too many", async () => {
  mkdirSync(join(root, "cache"));
  for (let n = 0; n < 505; n++) writeFileSync(join(root, "cache", `${n.toString(16).padStart(64, "0")}.json`), "{}");
  await keepResult(join(root, "cache"), "f".repeat(64), "test", 1);
  const kept = readdirSync(join(root, "cache"));
  expect(kept).toHaveLength(500);
  expect(kept).toContain(`${"f".repeat(64)}.json`);
});
