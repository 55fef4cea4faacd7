import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "./paths.ts";
import { reservedReason } from "./reserved-env.ts";

const pm2 = join(packageRoot(), "node_modules", "pm2", "lib");

test("every field that the installed PM2 keeps of a process is reserved", async () => {
  const files = (await readdir(pm2, { recursive: true })).filter((file) => file.endsWith(".js"));
  const fields = new Set(Object.keys(JSON.parse(await readFile(join(pm2, "API", "schema.json"), "utf8"))));
  for (const file of files) {
    const text = await readFile(join(pm2, file), "utf8");
    const reads = text.matchAll(/\b(?:pm2_env|env_copy)(?:\.|\[['"])([A-Za-z_]\w*)/g);
    for (const [, field] of reads) if (field !== undefined) fields.add(field);
  }
  expect(fields.size).toBeGreaterThan(60);
  // One key of its JSON Schema is a pattern, no name.
  const open = [...fields].filter((field) => /^\w+$/.test(field) && reservedReason(field) === undefined);
  expect(open).toEqual([]);
});

test("ordinary variables are free, ours are not", () => {
  for (const free of ["NAME", "PORT", "NODE_ENV", "PATH", "STATUS", "PGDATABASE", "agent"]) {
    expect(reservedReason(free)).toBeUndefined();
  }
  expect(reservedReason("AGENT_ID")).toContain("agent-harness");
  expect(reservedReason("PM2_HOME")).toContain("PM2");
});
