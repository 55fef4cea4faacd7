import { join } from "node:path";
import {
  type CheckGuess,
  type DatabaseGuess,
  type Detected,
  filesIn,
  type Guess,
  type ProcessGuess,
} from "./config-detect.ts";
import { findText } from "./files.ts";

/** What can be told of a Python, Go or Rust project, and of SQL files that no package of a language owns. */
export async function detectLanguages(folder: string): Promise<Detected> {
  const files = await filesIn(folder);
  const parts = [await detectPython(folder, files), await detectGo(files), await detectRust(folder, files)];
  return {
    name: undefined,
    processes: parts.flatMap(({ processes }) => processes),
    checks: parts.flatMap(({ checks }) => checks),
    databases: [...parts.flatMap(({ databases }) => databases), ...(await plainSql(folder, files))],
    found: parts.flatMap(({ found }) => found),
  };
}

interface Part {
  processes: Guess<ProcessGuess>[];
  checks: Guess<CheckGuess>[];
  databases: Guess<DatabaseGuess>[];
  found: string[];
}

const nothing: Part = { processes: [], checks: [], databases: [], found: [] };

const check = (stage: CheckGuess["stage"], command: string[], from: string): Guess<CheckGuess> => ({
  value: { stage, command, cwd: "." },
  from,
});

const server = (command: string[], from: string): Guess<ProcessGuess> => ({
  value: { name: "api", command, cwd: ".", role: "server" },
  from,
});

async function detectPython(folder: string, files: Set<string>): Promise<Part> {
  const sign = ["pyproject.toml", "requirements.txt", "setup.py", "manage.py"].find((file) => files.has(file));
  if (sign === undefined) return nothing;
  const named = await Promise.all(["pyproject.toml", "requirements.txt"].map((file) => read(folder, file)));
  const text = named.join("\n");
  const runner = files.has("uv.lock") ? ["uv", "run"] : files.has("poetry.lock") ? ["poetry", "run"] : [];
  const run = (...words: string[]) => [...runner, ...words];
  const uses = (tool: string) => new RegExp(`\\b${tool}\\b`, "i").test(text);
  const tested = uses("pytest") || files.has("pytest.ini") || files.has("conftest.py") || files.has("tests");
  const host = "127.0.0.1:{{ports.api}}";
  const django = files.has("manage.py");
  return {
    processes: [
      ...(django ? [server(run("python3", "manage.py", "runserver", "--noreload", host), "manage.py (Django)")] : []),
      ...(!django && uses("fastapi") && files.has("main.py")
        ? [server(run("uvicorn", "main:app", "--port", "{{ports.api}}"), `${sign} and main.py (FastAPI)`)]
        : []),
    ],
    checks: [
      ...(uses("mypy") ? [check("typecheck", run("mypy", "."), `${sign} names mypy`)] : []),
      ...(uses("ruff") ? [check("lint", run("ruff", "check", "."), `${sign} names ruff`)] : []),
      ...(tested ? [check("test-unit", run("python3", "-m", "pytest"), "pytest or a folder of tests")] : []),
    ],
    databases: pythonDatabases(files, django, run),
    found: [`Python (${sign})`],
  };
}

function pythonDatabases(
  files: Set<string>,
  django: boolean,
  run: (...words: string[]) => string[],
): Guess<DatabaseGuess>[] {
  if (django) {
    const build = [run("python3", "manage.py", "migrate")];
    return [{ value: { inputs: ["**/migrations/*.py"], build, cwd: "." }, from: "manage.py (Django)" }];
  }
  if (!files.has("alembic.ini")) return [];
  const build = [run("alembic", "upgrade", "head")];
  return [{ value: { inputs: ["alembic/**"], build, cwd: "." }, from: "alembic.ini (Alembic)" }];
}

async function detectGo(files: Set<string>): Promise<Part> {
  if (!files.has("go.mod")) return nothing;
  return {
    processes: files.has("main.go") ? [server(["go", "run", "."], "main.go")] : [],
    checks: [
      check("lint", ["go", "vet", "./..."], "go.mod"),
      check("test-unit", ["go", "test", "./..."], "go.mod"),
      check("build", ["go", "build", "./..."], "go.mod"),
    ],
    databases: [],
    found: ["Go (go.mod)"],
  };
}

async function detectRust(folder: string, files: Set<string>): Promise<Part> {
  if (!files.has("Cargo.toml")) return nothing;
  const program = (await filesIn(join(folder, "src"))).has("main.rs");
  return {
    processes: program ? [server(["cargo", "run"], "src/main.rs")] : [],
    checks: [
      check("typecheck", ["cargo", "check", "--all-targets"], "Cargo.toml"),
      check("test-unit", ["cargo", "test"], "Cargo.toml"),
    ],
    databases: [],
    found: ["Rust (Cargo.toml)"],
  };
}

/** Folders of SQL in the usual places, where no package.json speaks for the root. */
async function plainSql(folder: string, files: Set<string>): Promise<Guess<DatabaseGuess>[]> {
  if (files.has("package.json")) return [];
  for (const name of ["migrations", "db/migrations", "sql"]) {
    const sql = [...(await filesIn(join(folder, name)))].some((file) => file.endsWith(".sql"));
    if (sql) return [{ value: { inputs: [`${name}/**`], build: [], cwd: "." }, from: `${name} (SQL files)` }];
  }
  return [];
}

const read = async (folder: string, file: string): Promise<string> =>
  (await findText(join(folder, file)).catch(() => undefined)) ?? "";
