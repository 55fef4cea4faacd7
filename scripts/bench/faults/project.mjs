// The projects that the faults bench launches: as small as can be, so that hundreds of launches take minutes.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { repository } from "../bench.mjs";

/** The ports of an agent of these projects: those of its processes, and one that nothing listens on. */
export const portsOf = (id) => [8000 + id * 10, 9200 + id * 10];

const config = (processes) =>
  [
    "name: faults",
    "ports: { api: 8000, debug: 9200 }",
    "settleMs: 50",
    "database:",
    "  inputs: [schema.sql]",
    "  build: [node build.mjs]",
    "  pool: 1",
    "processes:",
    "  api:",
    "    command: node server.mjs",
    "    port: api",
    "    health: { path: /health, timeoutMs: 60000 }",
    ...processes,
    "",
  ].join("\n");

/** The text of the schema; another version is another template database. */
export const schema = (version) =>
  `CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL); INSERT INTO notes (text) VALUES ('seed ${version}');\n`;

const build = `import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const pg = createRequire(${JSON.stringify(join(repository, "package.json"))})("pg");
const client = new pg.Client();
await client.connect();
await client.query(readFileSync("schema.sql", "utf8"));
await client.end();
`;

const server = `import { createServer } from "node:http";
createServer((request, response) =>
  response.end(JSON.stringify({ id: process.env.AGENT_ID, database: process.env.PGDATABASE })),
).listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGINT", () => process.exit(0));
`;

const idle = "setInterval(() => undefined, 1000);\n";

/** A process that starts others, which leave its tree, deafen themselves and write down who they are. */
const escaping = `import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
const deep = Number(process.argv[2] ?? 0);
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) if (deep > 0) process.on(signal, () => undefined);
const stat = readFileSync("/proc/self/stat", "utf8");
const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
if (deep > 0) writeFileSync(\`escaped/\${process.pid}\`, \`\${process.env.AGENT_ID} \${started}\`);
// 1: a session of its own. 2: forked twice, since its parent, the second, ends. 3: a child of what has escaped.
const below = (level) => spawn(process.execPath, ["escape.mjs", String(level)], { detached: true, stdio: "ignore" }).unref();
if (deep === 0) [1, 2].forEach(below);
if (deep === 2) below(3);
if (deep === 2) setTimeout(() => process.exit(0), 50);
else setInterval(() => undefined, 1000);
`;

/** Writes the project into a folder; with `escapes`, one of its processes lets others escape. */
export async function writeProject(folder, { escapes = false } = {}) {
  const second = escapes ? ["  wild:", "    command: node escape.mjs"] : ["  idle:", "    command: node idle.mjs"];
  const files = {
    "agent-harness.yml": config(second),
    "schema.sql": schema(0),
    "build.mjs": build,
    "server.mjs": server,
    "idle.mjs": idle,
    "escape.mjs": escaping,
    "notes.txt": "somebody's own\n",
  };
  await mkdir(join(folder, "escaped"), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}
