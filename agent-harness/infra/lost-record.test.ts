import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { findMarked } from "../shared/process-tree.ts";
import { until } from "../testing/until.ts";
import { serviceMark } from "./embedded/strays.ts";
import { findLostRecord } from "./lost-record.ts";

/* That containers are found is in compose/up.live.test.ts. */

let paths: HomePaths;
let env: Record<string, string>;

beforeEach(async () => {
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-lost-")));
  paths = homePaths(home);
  env = { DOCKER_HOST: `unix://${join(home, "docker.sock")}`, DOCKER_CONFIG: home, AGENT_DB_PORT: "25432" };
});
afterEach(() => rm(paths.home, { recursive: true, force: true }));

it("is that of embedded services that run", async () => {
  const service = spawn("sleep", ["60"], { env: { ...process.env, [serviceMark]: paths.home }, stdio: "ignore" });
  await until("the service", async () => (await findMarked(serviceMark, paths.home)).length > 0);
  const found = await findLostRecord(paths, env);
  service.kill("SIGKILL");
  await once(service, "close");
  expect(found).toMatchObject({ driver: "embedded", ports: { postgres: 25_432 }, settings: {} });
});

it("is none where nothing runs, or where no engine can be asked for containers", async () => {
  expect(await findLostRecord(paths, env)).toBeUndefined();
  await mkdir(paths.compose);
  expect(await findLostRecord(paths, env)).toBeUndefined();
  expect(await findLostRecord(paths, { ...env, DOCKER_HOST: "ssh://far" })).toBeUndefined();
});
