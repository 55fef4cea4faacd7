import { execFile } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { openBuckets } from "../infra/buckets.ts";
import { findDatabase, maintenanceDatabase } from "../infra/databases.ts";
import { resolveInfra } from "../infra/resolve.ts";
import type { Infra } from "../infra/services.ts";
import { withSql } from "../infra/sql.ts";
import { configSchema } from "../shared/config-schema.ts";
import { findText } from "../shared/files.ts";
import { bucketName, databaseName, processPrefix } from "../shared/names.ts";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { findPortHolder } from "../shared/ports.ts";
import { findMarked } from "../shared/process-tree.ts";
import { findProcesses } from "../shared/processes.ts";
import { getLedger, type Ledger } from "../stacks/ledger.ts";
import { markVariable, stackMark } from "../stacks/plan.ts";
import { listClaims } from "../stacks/registry.ts";
import { openHarness, type Printed, type TestHarness, writeProject } from "./harness.ts";

const run = promisify(execFile);

/** A harness with small projects, and eyes for everything that a stack may leave behind. */
export interface SmallHarness extends TestHarness {
  paths: HomePaths;
  infra: () => Promise<Infra>;
  /** A small project in a git repository of its own, deleted at the end. */
  project: (files?: Readonly<Record<string, string>>) => Promise<string>;
  /** Runs `agent-harness …` and expects exit 0. */
  ok: (cwd: string, ...argv: string[]) => Promise<Printed>;
  /** Runs `agent-cli … --json` and returns its document; expects exit 0. */
  ask: (cwd: string, ...argv: string[]) => Promise<never>;
  /** Runs `agent-harness … --json` that has to fail; returns its error and exit code. */
  refused: (cwd: string, ...argv: string[]) => Promise<Refusal>;
  sql: (database: string, query: string) => Promise<Record<string, unknown>[]>;
  ledger: (id: number) => Promise<Ledger>;
  /** The pids of a stack's processes, by their names in PM2. */
  pids: (id: number) => Promise<Record<string, number | undefined>>;
  /** Everything of a stack that is there, wherever it may be; empty when nothing is. */
  left: (id: number, ...folders: string[]) => Promise<string[]>;
}

/** An error of ours as `--json` prints it. */
export interface Refusal {
  exitCode: number;
  code: string;
  message: string;
  hint?: string;
  leftBehind?: string;
  stderr: string;
}

/** A server that shows its own environment and process on `/env`. */
export const echoServer = [
  'import { createServer } from "node:http";',
  "createServer((request, response) => {",
  '  if (request.url === "/env") response.end(JSON.stringify(process.env));',
  "  else response.end(JSON.stringify({ id: process.env.AGENT_ID, database: process.env.PGDATABASE, pid: process.pid }));",
  '}).listen(Number(process.env.PORT), "127.0.0.1");',
  'process.on("SIGINT", () => process.exit(0));',
  "",
].join("\n");

/** The text of the small project's config, with other texts in its places. */
export function smallConfig(
  parts: {
    pool?: number;
    settleMs?: number;
    env?: string;
    processes?: string;
    afterClone?: string;
    rest?: string;
  } = {},
): string {
  return [
    "name: small",
    "ports: { api: 8000, debug: 9200 }",
    `settleMs: ${parts.settleMs ?? 50}`,
    "database:",
    "  inputs: [schema.sql]",
    "  build: [node build.mjs]",
    `  pool: ${parts.pool ?? 0}`,
    ...(parts.afterClone === undefined ? [] : [`  afterClone:\n${parts.afterClone}`]),
    ...(parts.env === undefined ? [] : [`env:\n${parts.env}`]),
    "processes:",
    parts.processes ?? smallProcesses,
    parts.rest ?? "",
    "",
  ].join("\n");
}

const smallProcesses = [
  "  api:",
  "    command: node server.mjs",
  "    port: api",
  "    health: { path: /health, timeoutMs: 15000 }",
  "  idle:",
  "    command: node idle.mjs",
  "    aliases: [sleeper]",
].join("\n");

/** Opens a harness for small projects; infra starts with the first launch. */
export async function openSmall(options?: Parameters<typeof openHarness>[0]): Promise<SmallHarness> {
  const base = await openHarness(options);
  const paths = homePaths(base.home);
  const folders: string[] = [];
  const infra = () => resolveInfra(paths, configSchema.parse({}).infra, base.env);
  const small: SmallHarness = {
    ...base,
    paths,
    infra,
    project: async (files) => {
      const folder = await writeProject({ "agent-harness.yml": smallConfig(), "server.mjs": echoServer, ...files });
      folders.push(folder);
      await git(folder, "init", "-q");
      await git(folder, "add", "-A");
      await git(folder, "commit", "-qm", "start");
      return folder;
    },
    ok: async (cwd, ...argv) => {
      const printed = await base.harness(cwd, ...argv);
      expect(printed.exitCode, `${argv.join(" ")}\n${printed.stdout}${printed.stderr}`).toBe(0);
      return printed;
    },
    ask: async (cwd, ...argv) => {
      const printed = await base.agent(cwd, ...argv, "--json");
      expect(printed.exitCode, `${argv.join(" ")}\n${printed.stdout}${printed.stderr}`).toBe(0);
      return JSON.parse(printed.stdout) as never;
    },
    refused: async (cwd, ...argv) => {
      const { exitCode, stdout, stderr } = await base.harness(cwd, ...argv, "--json");
      expect(exitCode, `${argv.join(" ")} succeeded:\n${stdout}${stderr}`).not.toBe(0);
      return { ...(JSON.parse(stdout) as { error: Refusal }).error, exitCode, stderr };
    },
    sql: async (database, query) =>
      await withSql((await infra()).postgres, database, async (sql) => (await sql.query(query)).rows),
    ledger: (id) => getLedger(paths, id),
    pids: async (id) => {
      await using pm2 = await findProcesses(paths.pm2);
      const own = ((await pm2?.list()) ?? []).filter((one) => one.name.startsWith(processPrefix(id)));
      return Object.fromEntries(own.map((one) => [one.name, one.pid]));
    },
    left: (id, ...where) => leftOf(small, id, where.length === 0 ? folders : where),
    [Symbol.asyncDispose]: async () => {
      await base[Symbol.asyncDispose]();
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
    },
  };
  return small;
}

/** Runs git as somebody, wherever the tests run. */
export async function git(folder: string, ...args: string[]): Promise<string> {
  const who = ["-c", "user.name=test", "-c", "user.email=test@example.test", "-c", "init.defaultBranch=main"];
  const { stdout } = await run("git", ["-C", folder, ...who, ...args]);
  return stdout;
}

async function leftOf(small: SmallHarness, id: number, folders: readonly string[]): Promise<string[]> {
  const infra = await small.infra();
  const database = await withSql(infra.postgres, maintenanceDatabase, (sql) => findDatabase(sql, databaseName(id)));
  const bucket = await openBuckets(infra.s3).exists(bucketName(id));
  const files = await Promise.all(folders.map(async (folder) => await readdir(folder).catch(() => [])));
  const marked = await findMarked(markVariable, stackMark(infra.machine, id));
  const ports = [8000, 9200].map((port) => port + id * 10);
  const held = await Promise.all(ports.map(findPortHolder));
  return [
    ...(database === undefined ? [] : [`database ${database.name}`]),
    ...(bucket ? [`bucket ${bucketName(id)}`] : []),
    ...files.flat().filter((name) => new RegExp(`agent\\.${id}\\b`).test(name)),
    ...Object.keys(await small.pids(id)),
    ...marked.map((one) => `${one.pid} ${one.command}`),
    ...held.flatMap((one) => (one === undefined ? [] : [`a listener: ${one.command}`])),
    ...((await findText(join(small.paths.stacks, String(id), "ledger.json"))) === undefined ? [] : ["ledger"]),
    ...(await readdir(small.paths.stacks).catch(() => [])).filter((name) => name === String(id)).map(() => "folder"),
    ...(await listClaims(small.paths)).filter((one) => one.id === id).map(() => "claim"),
  ];
}
