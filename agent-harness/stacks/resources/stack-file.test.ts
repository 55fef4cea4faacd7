import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LaunchContext, Search } from "../resource.ts";
import { fileHeader, stackFile, wholeHeader } from "./stack-file.ts";

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

describe("of whichever agent", () => {
  const search = () => ({ folders: [folder, join(folder, "gone")], infra: { machine: "m1" } }) as unknown as Search;
  const all = async (): Promise<[number, string | undefined][]> => {
    const things = (await file.listMarked?.(search())) ?? [];
    return await Promise.all(
      things.map(async (one): Promise<[number, string | undefined]> => [one.id, await one.whyKept?.()]),
    );
  };

  test("files with this harness's name in the first line are found; another's and nobody's are not", async () => {
    await writeFile(join(folder, ".env.agent.3"), `# ${wholeHeader(3, "small", "m1")}. Changes are lost.\n`);
    await writeFile(join(folder, ".env.agent.4"), `# ${wholeHeader(4, "small", "m2")}. Changes are lost.\n`);
    await writeFile(join(folder, ".env.agent.5"), "A=1\n");
    await writeFile(join(folder, ".env.agent.6"), `# ${wholeHeader(7, "small", "m1")}\n`);
    await mkdir(join(folder, ".env.agent.8"));
    await writeFile(join(folder, ".env.agent.100"), `# ${wholeHeader(100, "small", "m1")}\n`);
    expect(await all()).toEqual([[3, undefined]]);
  });

  test("one of an earlier version, which names no harness, is shown and kept", async () => {
    await writeFile(path, text);
    expect(await all()).toEqual([[3, expect.stringContaining(`rm ${path}`)]]);
  });

  test("what a killed write left is found, what somebody writes now is not; each goes by itself", async () => {
    const [killed, empty] = [`${path}.999999.0a1b2c3d.tmp`, `${path}.999998.0a1b2c3d.tmp`];
    await writeFile(path, `# ${wholeHeader(3, "small", "m1")}\n`);
    await writeFile(killed, `# ${wholeHeader(3, "small", "m1")}\n`);
    await writeFile(empty, "");
    await writeFile(`${path}.${process.pid}.0a1b2c3d.tmp`, "");
    await writeFile(`${path}.999997.0a1b2c3d.tmp`, "A=1\n");
    const things = (await file.listMarked?.(search())) ?? [];
    expect(things.map((one) => one.name).sort()).toEqual([path, empty, killed].sort());
    for (const one of things.filter((thing) => thing.name !== path)) await one.remove();
    expect((await readdir(folder)).sort()).toEqual(
      [".env.agent.3", `.env.agent.3.${process.pid}.0a1b2c3d.tmp`, ".env.agent.3.999997.0a1b2c3d.tmp"].sort(),
    );
  });

  test("one that was overwritten since it was looked at is not deleted", async () => {
    await writeFile(path, `# ${wholeHeader(3, "small", "m1")}\n`);
    const [thing] = (await file.listMarked?.(search())) ?? [];
    await writeFile(path, "SECRET=mine\n");
    await thing?.remove();
    expect(await readFile(path, "utf8")).toBe("SECRET=mine\n");
  });
});
