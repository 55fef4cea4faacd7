import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildStep, fingerprintOf } from "./fingerprint.ts";

const folders: string[] = [];

beforeAll(async () => {
  for (let count = 0; count < 2; count += 1) {
    const folder = await mkdtemp(join(tmpdir(), "ah-fingerprint-"));
    folders.push(folder);
    await writeFile(join(folder, "schema.sql"), "CREATE TABLE notes (id int);\n");
  }
});
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

/** The fingerprint of these steps, each with its folder below the project's. */
function hashOf(steps: { words: string[]; cwd?: string }[], extensions: string[] = [], at = 0): Promise<string> {
  const folder = folders[at] ?? "";
  return fingerprintOf(
    {
      project: "one",
      repository: folder,
      folder,
      inputs: ["*.sql"],
      steps: steps.map(({ words, cwd }): BuildStep => ({ words, cwd: join(folder, cwd ?? ".") })),
      extensions,
      envFor: () => ({}),
      argvFor: ({ words }) => words,
    },
    18,
  );
}

it("tells apart what moved from one list into another", async () => {
  const all = await Promise.all([
    hashOf([{ words: ["a", "b"] }]),
    hashOf([{ words: ["a"] }, { words: ["b"] }]),
    hashOf([{ words: ["b"] }], ["a"]),
    hashOf([], ["a", "b"]),
    hashOf([{ words: ["a", "b"], cwd: "db" }]),
  ]);
  expect(new Set(all).size).toBe(all.length);
});

it("is the same in another worktree", async () => {
  const steps = [{ words: ["node", "{{workdir}}/build.mjs"], cwd: "db" }];
  expect(await hashOf(steps, [], 1)).toBe(await hashOf(steps));
});
