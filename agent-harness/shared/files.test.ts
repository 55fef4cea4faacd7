import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findText, setAside, writeFileAtomic } from "./files.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-files-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

test("a file is written with its folders, for its owner only unless told otherwise", async () => {
  const path = join(folder, "a/b/c.json");
  await writeFileAtomic(path, "one");
  expect(await readFile(path, "utf8")).toBe("one");
  expect(await modeOf(path)).toBe("600");
  await writeFileAtomic(path, "two", { mode: 0o644 });
  expect(await modeOf(path)).toBe("644");
  expect(await readdir(join(folder, "a/b"))).toEqual(["c.json"]);
});

test("the mode is exact whatever the umask, and that of the old file does not stay", async () => {
  const path = join(folder, "secret");
  await writeFile(path, "old");
  await chmod(path, 0o666);
  await writeFileAtomic(path, "new");
  expect(await modeOf(path)).toBe("600");
});

test("a failed write leaves the old text and no scratch file", async () => {
  const path = join(folder, "taken");
  await mkdir(join(path, "full"), { recursive: true });
  await expect(writeFileAtomic(path, "text")).rejects.toMatchObject({
    code: expect.stringMatching(/EISDIR|ENOTEMPTY|EEXIST/),
  });
  expect(await readdir(folder)).toEqual(["taken"]);
});

test("readers beside many writers see one whole text, always", async () => {
  const path = join(folder, "busy");
  const texts = ["a", "b", "c"].map((letter) => letter.repeat(20_000));
  await writeFileAtomic(path, texts[0] ?? "");
  let writing = true;
  const seen = new Set<string>();
  const reader = (async () => {
    while (writing) seen.add(await readFile(path, "utf8"));
  })();
  await Promise.all(texts.concat(texts, texts).map((text) => writeFileAtomic(path, text)));
  writing = false;
  await reader;
  expect([...seen].filter((text) => !texts.includes(text))).toEqual([]);
  expect(await readdir(folder)).toEqual(["busy"]);
});

test("findText: the text, undefined where there is no file, an error for anything else", async () => {
  expect(await findText(join(folder, "none"))).toBeUndefined();
  expect(await findText(join(folder, "none/deeper"))).toBeUndefined();
  await writeFile(join(folder, "empty"), "");
  expect(await findText(join(folder, "empty"))).toBe("");
  await expect(findText(folder)).rejects.toMatchObject({ code: "EISDIR" });
});

test("setAside keeps the file under a name that says when", async () => {
  const path = join(folder, "ledger.json");
  await writeFile(path, "{broken");
  const kept = await setAside(path, new Date("2024-02-03T04:05:06.007Z"));
  expect(kept).toBe(`${path}.corrupt-2024-02-03T04-05-06-007Z`);
  expect(await readFile(kept, "utf8")).toBe("{broken");
  expect(await findText(path)).toBeUndefined();
});
