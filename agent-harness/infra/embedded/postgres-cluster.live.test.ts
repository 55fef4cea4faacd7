import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type HomePaths, homePaths } from "../../shared/paths.ts";
import { refused } from "../../testing/config-folder.ts";
import { ensureCredentials } from "../credentials.ts";
import { preparePostgres } from "./postgres-cluster.ts";

let paths: HomePaths;

beforeEach(async () => {
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-cluster-")));
  await chmod(home, 0o711);
  paths = homePaths(home);
});
afterEach(() => rm(paths.home, { recursive: true, force: true }));

it("data of another major version is said to be that, and left as it is", async () => {
  await mkdir(paths.postgresData, { recursive: true });
  await writeFile(join(paths.postgresData, "PG_VERSION"), "16\n");
  const credentials = await ensureCredentials(paths);
  const options = { port: 1, durability: "safe", logFile: "", name: "postgres" } as const;
  const error = await refused(preparePostgres(paths, credentials, options));
  expect(error.code).toBe("POSTGRES_VERSION_DIFFERS");
  expect(error.message).toBe(`The data in ${paths.postgresData} is of Postgres 16, the server is 18.`);
  expect(error.hint).toContain("agent-harness infra destroy --force");
  expect(error.leftBehind).toBe("the data, as it was");
  expect(await readdir(paths.postgresData)).toEqual(["PG_VERSION"]);
  expect(await readFile(join(paths.postgresData, "PG_VERSION"), "utf8")).toBe("16\n");
});
