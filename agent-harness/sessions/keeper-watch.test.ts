import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { FileWatcher } from "./keeper-watch.ts";

test("each text of a file is told once, from the moment that the file and its folder are there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ah-watch-"));
  const told: string[] = [];
  const path = join(folder, "late", "7.json");
  const watcher = new FileWatcher([join(folder, "late", "*.json")], (from, line) => told.push(`${from}: ${line}`));
  try {
    await watcher.start();
    await mkdir(join(folder, "late"));
    await writeFile(join(folder, "late", "7.key"), "not this one");
    for (const text of ["busy", "idle", "idle", "two\nlines\n"]) {
      await writeFile(path, text);
      const line = text.trim().replace("\n", " ");
      await until(line, () => told.at(-1) === `${path}: ${line}`);
    }
    await writeFile(path, "last");
  } finally {
    await watcher.stop();
    await rm(folder, { recursive: true });
  }
  expect(told).toEqual(["busy", "idle", "two lines", "last"].map((line) => `${path}: ${line}`));
});
