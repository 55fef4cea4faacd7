import { lstat, mkdtemp, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { prepareFiles } from "./prepare-files.ts";

async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "prepare-files-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("writes, copies and links what a program needs, readable by nobody else", async () => {
  const folder = await openFolder();
  const own = join(folder, "own.toml");
  await writeFile(own, "model = 1\n", { mode: 0o644 });
  const at = (name: string): string => join(folder, "home", name);
  const files = [
    { path: at("settings.json"), text: "{}" },
    { path: at("config.toml"), copyOf: own },
    { path: at("auth.json"), linkTo: own },
  ];
  await prepareFiles(files);
  await prepareFiles(files);
  expect(await readFile(at("settings.json"), "utf8")).toBe("{}");
  expect(await readFile(at("config.toml"), "utf8")).toBe("model = 1\n");
  expect((await stat(at("config.toml"))).mode & 0o777).toBe(0o600);
  expect(await readlink(at("auth.json"))).toBe(own);
});

test("leaves out what the person does not have, and takes away what was carried over before", async () => {
  const folder = await openFolder();
  const own = join(folder, "own.json");
  await writeFile(own, "{}");
  const files = [
    { path: join(folder, "a"), copyOf: own },
    { path: join(folder, "b"), linkTo: own },
  ];
  const orText = { path: join(folder, "c"), linkTo: own, orText: "instead" };
  await prepareFiles([...files, orText]);
  await rm(own);
  await prepareFiles([...files, orText]);
  expect(await readFile(orText.path, "utf8")).toBe("instead");
  expect((await lstat(orText.path)).isSymbolicLink()).toBe(false);
  for (const { path } of files) await expect(lstat(path)).rejects.toThrow("ENOENT");
});
