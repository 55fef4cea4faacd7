import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runHarness } from "./index.ts";

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-just-")));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Printed {
  exitCode: number;
  stdout: string;
  stderr: string;
}

async function initJust(...flags: string[]): Promise<Printed> {
  const printed = { stdout: "", stderr: "" };
  const exitCode = await runHarness(["init", "--just", ...flags], {
    cwd: folder,
    env: {},
    stdout: (text) => (printed.stdout += text),
    stderr: (text) => (printed.stderr += text),
  });
  return { exitCode, ...printed };
}

const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");

test("a repository keeps its own recipes, whatever its justfile is called", async () => {
  const own = "# Greets.\r\nhello name='you':\r\n    @echo hello {{ name }}\r\n\r\nagent-count:\r\n    @echo 3";
  await mkdir(join(folder, "just"));
  await writeFile(join(folder, "just", "main.just"), own);
  await symlink(join("just", "main.just"), join(folder, "Justfile"));
  expect((await initJust()).exitCode).toBe(0);
  expect((await read("just/main.just")).startsWith(own)).toBe(true);
  expect((await readdir(folder)).filter((name) => /justfile/i.test(name))).toEqual(["Justfile"]);
});

test("a second run changes nothing and says so", async () => {
  expect((await initJust()).stdout).toContain(`wrote ${join(folder, "agent.just")}\nwrote ${join(folder, "justfile")}`);
  const before = [await read("justfile"), await read("agent.just")];
  const again = await initJust();
  expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("Nothing to do") });
  expect([await read("justfile"), await read("agent.just")]).toEqual(before);
});

test.each(["agent *args:\n    echo", "mod agent 'other.just'", "alias agent := hello"])(
  "an `agent` of somebody else's is left alone: %s",
  async (own) => {
    await writeFile(join(folder, "justfile"), `hello:\n    echo\n\n${own}\n`);
    const { exitCode, stderr } = await initJust();
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("of its own") });
    expect(await readdir(folder)).not.toContain("agent.just");
  },
);

test("recipes that were changed are replaced only by force", async () => {
  await initJust();
  const ours = await read("agent.just");
  await writeFile(join(folder, "agent.just"), `${ours}\nmine:\n    echo\n`);
  expect(await initJust()).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("init --just --force") });
  expect(await read("agent.just")).toContain("mine:");
  expect((await initJust("--force")).exitCode).toBe(0);
  expect(await read("agent.just")).toBe(ours);
});
