import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "./config.ts";
import { overridesFileName, readOverrides } from "./config-overrides.ts";
import { configJsonSchema } from "./config-schema.ts";
import { packageRoot, templatePath } from "./paths.ts";

const docs = () => readFile(join(packageRoot(), "docs", "config.md"), "utf8");

test("the published schema is the one of the code (else: npm run build && node scripts/gen-schema.mjs)", async () => {
  const published = JSON.parse(await readFile(templatePath("agent-harness.schema.json"), "utf8"));
  expect(published).toEqual(configJsonSchema());
});

test("the example of docs/config.md is a valid config", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ah-docs-"));
  try {
    const example = /```yaml\n([\s\S]*?)```/.exec(await docs())?.[1] ?? "";
    await writeFile(join(folder, "agent-harness.yml"), example);
    const { config } = await loadConfig({ cwd: folder, env: {} });
    expect(Object.keys(config.processes)).toEqual(["common-watch", "api", "frontend", "worker"]);
    expect(config.verify.stages).toHaveLength(4);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("docs/config.md names every key, and every variable that .env.agent-harness may hold", async () => {
  const text = await docs();
  expect(
    keysOf(configJsonSchema()).filter((key) => !new RegExp(`\\b${key.replace("$", "\\b")}\\b`).test(text)),
  ).toEqual([]);
  const message = readOverrides("QQQQQQQQQQQQQQQQQQ=1").problems[0]?.message ?? "";
  const known = [...message.matchAll(/`([A-Z_0-9]+)`/g)].flatMap(([, variable]) => variable ?? []).slice(1);
  expect(known.length).toBeGreaterThan(20);
  expect(known.filter((variable) => !text.includes(`\`${variable}\``))).toEqual([]);
  expect(text).toContain(overridesFileName);
});

/** Every property name anywhere in a JSON Schema. */
function keysOf(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) =>
    key === "properties" && typeof value === "object" && value !== null
      ? [...Object.keys(value).filter((name) => name !== "$schema"), ...Object.values(value).flatMap(keysOf)]
      : keysOf(value),
  );
}
