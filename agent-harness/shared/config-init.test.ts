import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LoadedConfig, loadConfig } from "./config.ts";
import { initialConfig, writeInitialConfig } from "./config-init.ts";

let root: string;
beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), "ah-init-")), "3 My Project!");
  await mkdir(root);
});
afterEach(() => rm(dirname(root), { recursive: true, force: true }));

type Files = Record<string, string | object>;

/** Plants a repository, writes its config and loads it again. */
async function init(files: Files): Promise<LoadedConfig & { yaml: string; found: string[] }> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  const { path, yaml, found } = await writeInitialConfig(root);
  expect(await readFile(path, "utf8")).toBe(yaml);
  expect(yaml.split("\n")[0]).toBe(
    "# yaml-language-server: $schema=node_modules/agent-harness/templates/agent-harness.schema.json",
  );
  return { ...(await loadConfig({ cwd: root, env: {} })), yaml, found };
}

const commands = ({ config }: LoadedConfig) =>
  Object.fromEntries(config.verify.stages.map(({ name, commands }) => [name, commands]));

test("a first config of an empty folder", async () => {
  const { config, name, found } = await init({});
  expect({ name, processes: config.processes, stages: config.verify.stages, found }).toEqual({
    name: "p-3-my-project",
    processes: {},
    stages: [],
    found: [],
  });
});

test("a first config of a pnpm monorepo with a Vite front end, an API with knex, a worker and a watcher", async () => {
  const loaded = await init({
    "package.json": { name: "@acme/shop", scripts: { dev: "turbo dev", typecheck: "turbo typecheck" } },
    "pnpm-lock.yaml": "",
    "pnpm-workspace.yaml": "packages:\n  # all of them\n  - 'packages/*'\n  - \"!packages/old\"\n",
    "packages/frontend/package.json": { scripts: { dev: "vite", lint: "eslint ." } },
    "packages/backend/package.json": {
      scripts: { dev: "tsx watch src", lint: "eslint .", test: "jest", migrate: "knex migrate:latest", seed: "x" },
      dependencies: { express: "5" },
    },
    "packages/backend/knexfile.ts": "",
    "packages/backend/migrations/1.ts": "",
    "packages/backend/seeds/1.ts": "",
    "packages/common/package.json": { scripts: { watch: "tsc --watch", test: "jest --watch" } },
    "packages/2nd-api/package.json": { scripts: { start: "node ." }, dependencies: { fastify: "5" } },
  });
  const { config, name, yaml, found } = loaded;
  expect(name).toBe("shop");
  expect(found[0]).toBe("package manager pnpm (pnpm-lock.yaml)");
  expect(Object.keys(config.processes).sort()).toEqual(["backend", "common", "frontend", "p-2nd-api"]);
  expect(config.processes["frontend"]).toMatchObject({
    command: "pnpm run dev --port {{ports.frontend}} --strictPort",
    cwd: "packages/frontend",
    port: "frontend",
  });
  expect(config.processes["common"]?.port).toBeUndefined();
  // The first listener found has the usual port, the second a family of its own.
  expect([config.processes["p-2nd-api"]?.port, config.processes["backend"]?.port]).toEqual(["api", "backend"]);
  expect(config.ports["backend"]).toBe(8002);
  expect(config.processes["backend"]?.env).toEqual({ PORT: "{{ports.backend}}" });
  expect(config.database).toMatchObject({
    inputs: ["packages/backend/migrations/**", "packages/backend/seeds/**"],
    build: [
      { run: "pnpm run migrate", cwd: "packages/backend" },
      { run: "pnpm run seed", cwd: "packages/backend" },
    ],
  });
  expect(commands(loaded)).toEqual({
    typecheck: ["pnpm run typecheck"],
    lint: [
      { run: "pnpm run lint", cwd: "packages/backend" },
      { run: "pnpm run lint", cwd: "packages/frontend" },
    ],
    "test-unit": [{ run: "pnpm run test", cwd: "packages/backend" }],
  });
  expect(yaml).toContain("# guessed from the script `dev` of packages/frontend/package.json, Vite");
});

test("a first config of one npm package: the arguments of its script come after `--`, the empty test of `npm init` is left out", async () => {
  const loaded = await init({
    "package.json": {
      scripts: { dev: "vite", build: "vite build", test: 'echo "Error: no test specified" && exit 1' },
    },
    "package-lock.json": "{}",
    "prisma/schema.prisma": "",
  });
  expect(loaded.config.processes["app"]?.command).toBe("npm run dev -- --port {{ports.frontend}} --strictPort");
  expect(loaded.config.database.build).toEqual(["prisma migrate deploy"]);
  expect(commands(loaded)).toEqual({ build: ["npm run build"] });
  expect(loaded.config.verify.stages[0]?.full).toBe(true);
});

test.each<[string, Files, string[], string[], string[]]>([
  [
    "Django under uv",
    { "manage.py": "", "pyproject.toml": "[tool.ruff]\n[tool.mypy]\npytest", "uv.lock": "" },
    ["uv run python3 manage.py runserver --noreload 127.0.0.1:{{ports.api}}"],
    ["uv run python3 manage.py migrate"],
    ["typecheck", "lint", "test-unit"],
  ],
  [
    "FastAPI with Alembic",
    { "requirements.txt": "fastapi\n", "main.py": "", "alembic.ini": "", "tests/test_x.py": "" },
    ["uvicorn main:app --port {{ports.api}}"],
    ["alembic upgrade head"],
    ["test-unit"],
  ],
  ["Go", { "go.mod": "", "main.go": "", "db/migrations/1.sql": "" }, ["go run ."], [], ["lint", "test-unit", "build"]],
  ["Rust", { "Cargo.toml": "", "src/main.rs": "" }, ["cargo run"], [], ["typecheck", "test-unit"]],
])("a first config of %s", async (_what, files, starts, builds, stages) => {
  const { config } = await init(files);
  expect(Object.values(config.processes).map(({ command }) => command)).toEqual(starts);
  expect(config.database.build).toEqual(builds);
  expect(config.verify.stages.map(({ name }) => name)).toEqual(stages);
});

test("a first config of a Drizzle project, and of plain SQL beside a package.json", async () => {
  const { config, yaml } = await init({
    "package.json": { workspaces: { packages: ["a", "b/"] }, packageManager: "yarn@4.0.0" },
    "a/package.json": {},
    "a/drizzle.config.ts": "",
    "b/package.json": {},
    "b/sql/1.sql": "",
  });
  expect(config.database.build).toEqual([{ run: "drizzle-kit migrate", cwd: "a" }]);
  expect(config.database.inputs).toEqual(["a/drizzle/**", "b/sql/**"]);
  expect(yaml).toContain("# guessed from b/sql (SQL files)");
});

test("a first config of repositories meant to confuse it", async () => {
  const odd = { scripts: { dev: "vite", lint: "x" }, dependencies: { vite: "1" } };
  const { config } = await init({
    "package.json": { name: 7, scripts: "no", workspaces: ["p/*", "../up", "/etc", "gone", "a*b", "!p/x"] },
    "p/true/package.json": odd,
    "p/it's: #1/package.json": odd,
    "p/[x]\n- y/package.json": odd,
    "p/api/package.json": odd,
    "p/scheduler/package.json": odd,
    ...Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`p/w${n}/package.json`, odd])),
    "q/package.json": "{",
  });
  expect(Object.keys(config.processes)).toHaveLength(17);
  expect(Object.values(config.processes).map(({ cwd }) => cwd)).toContain("p/it's: #1");
});

test("a first config of a repository whose package.json cannot be read as JSON", async () => {
  expect((await init({ "package.json": "{ // half" })).config.processes).toEqual({});
});

test("an existing config is kept unless it is forced, under either name", async () => {
  await writeFile(join(root, "agent-harness.yaml"), "name: mine\n");
  await expect(writeInitialConfig(root)).rejects.toMatchObject({ code: "CONFIG_EXISTS" });
  expect(await readFile(join(root, "agent-harness.yaml"), "utf8")).toBe("name: mine\n");
  const { path } = await writeInitialConfig(root, { force: true });
  expect(path).toBe(join(root, "agent-harness.yaml"));
  expect(await readFile(path, "utf8")).toBe((await initialConfig(root)).yaml);
});
