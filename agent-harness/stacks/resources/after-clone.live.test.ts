import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, killedWhile } from "../../testing/crash.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project({ "agent-harness.yml": smallConfig({ afterClone: "    - run: node step.mjs" }) });
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

/** Needs a port for itself. The first time it goes on for ever, any other time it ends at once. */
const step = [
  'import { existsSync, writeFileSync } from "node:fs";',
  'import { createServer } from "node:net";',
  'createServer().listen(Number(process.env.DEBUG_PORT), "127.0.0.1", () => {',
  '  if (existsSync("ran.txt")) process.exit(0);',
  '  writeFileSync("ran.txt", "");',
  '  console.log("listening");',
  "});",
].join("\n");

test("a step that a killed launch left running is stopped before the next launch's, and by a teardown", async () => {
  await writeFile(join(repo, "step.mjs"), step);
  await killedWhile(h, { verb: "launch", repo, id: 73 }, "after-clone", "detail");
  expect(await h.left(73)).toContainEqual(expect.stringContaining("a listener: node step.mjs"));
  await h.ok(repo, "launch", "73");
  await h.ok(repo, "teardown", "73");
  expect(await h.left(73)).toEqual([]);

  await rm(join(repo, "ran.txt"));
  await killedWhile(h, { verb: "launch", repo, id: 73 }, "after-clone", "detail");
  await h.ok(repo, "teardown", "73");
  expect(await h.left(73)).toEqual([]);
});

test("a command that fails is shown as it stands in the config, without the password that was filled in", async () => {
  const url = "postgres://{{database.user}}:{{database.password}}@{{database.host}}";
  const run = `    - run: [node, -e, "process.exit(4)", "${url}"]`;
  await writeFile(join(repo, "agent-harness.yml"), smallConfig({ afterClone: run }));
  const error = await h.refused(repo, "launch", "74");
  expect(error).toMatchObject({ code: "AFTER_CLONE_FAILED", message: expect.stringContaining(url) });
  expect(JSON.stringify(error)).not.toContain((await h.infra()).postgres.password);
});
