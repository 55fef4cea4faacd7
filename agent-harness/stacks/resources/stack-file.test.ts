import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { LaunchContext } from "../resource.ts";
import { fileHeader, stackFile } from "./stack-file.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-file-")));
  path = join(folder, ".env.agent.3");
});
afterEach(async () => await rm(folder, { recursive: true }));

const text = `# ${fileHeader(3)}small)\nA=1\n`;
const file = stackFile({
  kind: "env-file",
  name: (id) => `.env.agent.${id}`,
  render: async () => text,
});

/** As much of a launch as a file looks at; `data` is what an earlier launch recorded of the file. */
const contextWith = (data: Record<string, unknown>): LaunchContext =>
  ({
    ledger: { id: 3, workdir: folder, resources: [{ kind: "env-file", state: "creating", at: "", data }] },
  }) as unknown as LaunchContext;

test("a file of somebody else's is refused, not seen and not deleted", async () => {
  await writeFile(path, "SECRET=mine\n");
  const context = contextWith({});
  await expect(file.ensure(context)).rejects.toMatchObject({
    code: "NAME_FOREIGN",
    message: expect.stringContaining(path),
    hint: expect.stringContaining("agent-harness launch 3"),
  });
  expect(await file.exists(context)).toBeUndefined();
  await file.destroy(context);
  expect(await readFile(path, "utf8")).toBe("SECRET=mine\n");
  expect(await readdir(folder)).toEqual([".env.agent.3"]);
});

test("the file of another agent under this one's name is somebody else's", async () => {
  await writeFile(path, text.replace("agent 3 ", "agent 30 "));
  await expect(file.ensure(contextWith({}))).rejects.toMatchObject({ code: "NAME_FOREIGN" });
});

test("a file that a killed launch wrote before its ledger did is known by its first line", async () => {
  await file.ensure(contextWith({}));
  const context = contextWith({});
  expect(await file.exists(context)).toBe(path);
  await file.ensure(context);
  await file.destroy(context);
  expect(await readdir(folder)).toEqual([]);
});

test("a file that the ledger has is ours whatever became of its text", async () => {
  const context = contextWith(await file.ensure(contextWith({})));
  await writeFile(path, "B=2\n");
  await file.ensure(context);
  expect(await readFile(path, "utf8")).toBe(text);
  await writeFile(path, "B=2\n");
  await file.destroy(context);
  expect(await readdir(folder)).toEqual([]);
});

test("what a killed write left is taken along; a file with a name much like it is not", async () => {
  await writeFile(`${path}.4711.0a1b2c3d.tmp`, text);
  await writeFile(`${path}.mine.tmp`, "SECRET=mine\n");
  expect(await file.exists(contextWith({}))).toBe(`${path}.4711.0a1b2c3d.tmp`);
  await file.destroy(contextWith({}));
  expect(await readdir(folder)).toEqual([".env.agent.3.mine.tmp"]);
});
