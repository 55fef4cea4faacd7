// What the tests have and a bench needs too: the scripted model server, and where the real coding agents are. They are written
// in TypeScript, which this Node does not read: compiled into the bench's folder.
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { repository } from "../bench.mjs";

const sources = join(repository, "agent-harness");

/** Compiles and loads them. */
export async function loadHelpers(bench) {
  const folder = join(bench.root, "helpers");
  const config = join(bench.root, "tsconfig.json");
  const compilerOptions = {
    rootDir: sources,
    outDir: folder,
    declaration: false,
    sourceMap: false,
    noCheck: true,
    typeRoots: [join(repository, "node_modules", "@types")],
  };
  const files = ["model-server.ts", "agent-clis.ts"].map((name) => join(sources, "testing", name));
  await writeFile(config, JSON.stringify({ extends: join(repository, "tsconfig.json"), compilerOptions, files }));
  await bench.run([process.execPath, join(repository, "node_modules", "typescript", "bin", "tsc"), "-p", config]);
  await writeFile(join(folder, "package.json"), '{ "type": "module" }\n');
  await symlink(join(repository, "node_modules"), join(folder, "node_modules"));
  // Their package is the bench's folder, where no coding agents are.
  process.env.HARNESS_TEST_CLIS ??= join(repository, "scripts", "agent-clis", "node_modules");
  const load = (name) => import(pathToFileURL(join(folder, "testing", name)).href);
  const { openModelServer } = await load("model-server.js");
  const { findAgentCli, agentCliEnv } = await load("agent-clis.js");
  return { openModelServer, findAgentCli, agentCliEnv };
}
