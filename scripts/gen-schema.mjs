// Writes templates/agent-harness.schema.json, the JSON Schema that editors read, from the built config schema.
// `--check` writes nothing and exits 1 when the file is stale. Needs `npm run build` first.
import { readFile, writeFile } from "node:fs/promises";
import { configJsonSchema } from "../dist/shared/config-schema.js";

const file = new URL("../templates/agent-harness.schema.json", import.meta.url);
const wanted = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;

if (process.argv.includes("--check")) {
  const found = await readFile(file, "utf8").catch(() => "");
  // By content: the formatter may break lines elsewhere.
  if (found === "" || JSON.stringify(JSON.parse(found)) !== JSON.stringify(JSON.parse(wanted))) {
    process.stderr.write("templates/agent-harness.schema.json is stale; run: node scripts/gen-schema.mjs\n");
    process.exitCode = 1;
  }
} else {
  await writeFile(file, wanted);
}
