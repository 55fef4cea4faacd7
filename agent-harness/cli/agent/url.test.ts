import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { harnessHome, homePaths, stackFolder } from "../../shared/paths.ts";
import { lastUsed, touchStack } from "../../stacks/use.ts";
import { quickUrl, urlLines } from "./url.ts";

const urls = { frontend: "http://127.0.0.1:3030", api: "http://127.0.0.1:8030" };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-url-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

type Env = Readonly<Record<string, string | undefined>>;

/** Lays a ledger where shared/paths.ts says that it lies. */
async function lay(env: Env, text = JSON.stringify({ urls })): Promise<void> {
  const path = join(stackFolder(3, harnessHome(env)), "ledger.json");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

test.each<[string, (folder: string) => Env]>([
  ["AGENT_HARNESS_HOME", (path) => ({ AGENT_HARNESS_HOME: join(path, "home") })],
  ["a relative AGENT_HARNESS_HOME", (path) => ({ AGENT_HARNESS_HOME: relative(process.cwd(), join(path, "home")) })],
  ["a user's HOME", (path) => ({ HOME: path })],
  ["a user's HOME, the variable empty", (path) => ({ HOME: path, AGENT_HARNESS_HOME: "" })],
])("finds the ledger where harnessHome does: %s", async (_, envOf) => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  const env = envOf(folder);
  await lay(env);
  expect(quickUrl(["3", "url"], env)).toBe("frontend  http://127.0.0.1:3030\napi       http://127.0.0.1:8030\n");
});

test("a stack whose URL is asked for is in use", async () => {
  const env = { AGENT_HARNESS_HOME: folder };
  await lay(env);
  await touchStack(homePaths(folder), 3);
  await utimes(join(stackFolder(3, folder), "used"), 1000, 1000);
  quickUrl(["3", "url"], env);
  expect(await lastUsed(homePaths(folder), 3)).toBeGreaterThan(1_000_000);
});

test("root's home, and that of a user without HOME, are harnessHome's to say", () => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  expect(quickUrl(["3", "url"], {})).toBeUndefined();
  vi.spyOn(process, "getuid").mockReturnValue(0);
  expect(harnessHome({ HOME: folder })).toBe("/var/lib/agent-harness");
});

test("the id is the first word or AGENT_ID; --json may stand anywhere", async () => {
  const env = { AGENT_HARNESS_HOME: folder };
  await lay(env);
  const lines = urlLines(urls);
  expect(quickUrl(["url"], { ...env, AGENT_ID: "3" })).toBe(lines);
  expect(quickUrl(["3", "url"], { ...env, AGENT_ID: "4" })).toBe(lines);
  for (const argv of [
    ["3", "url", "--json"],
    ["3", "--json", "url"],
    ["--json", "3", "url"],
  ]) {
    expect(quickUrl(argv, env)).toBe(`${JSON.stringify(urls, null, 2)}\n`);
  }
});

test.each([
  [["3", "status"]],
  [["3", "url", "--help"]],
  [["3", "url", "extra"]],
  [["url"]],
  [["03", "url"]],
  [["0", "url"]],
  [["100", "url"]],
  [["../3", "url"]],
  [["-3", "url"]],
  [["3 ", "url"]],
  [["4", "url"]],
  [[]],
])("%j is left to the full program", async (argv) => {
  const env = { AGENT_HARNESS_HOME: folder };
  await lay(env);
  expect(quickUrl(argv, env)).toBeUndefined();
});

test.each(["", "{", "[]", "null", '{"version":1}'])(
  "a ledger that holds %j is left to the full program",
  async (text) => {
    const env = { AGENT_HARNESS_HOME: folder };
    await lay(env, text);
    expect(quickUrl(["3", "url"], env)).toBeUndefined();
  },
);
