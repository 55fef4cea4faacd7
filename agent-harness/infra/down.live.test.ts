import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { homePaths } from "../shared/paths.ts";
import { findMarked, isAlive, listProcesses } from "../shared/process-tree.ts";
import { openProcesses } from "../shared/processes.ts";
import { openHarness, type TestHarness, writeProject } from "../testing/harness.ts";
import { sendMail } from "../testing/smtp.ts";
import { until } from "../testing/until.ts";
import { openBuckets } from "./buckets.ts";
import { serviceMark } from "./embedded/strays.ts";
import { openMail } from "./mail.ts";
import { resolveInfra } from "./resolve.ts";
import type { Infra } from "./services.ts";
import { withSql } from "./sql.ts";
import type { ServiceStatus } from "./status.ts";

let harness: TestHarness;
let throwaway: string;

const here = (...argv: string[]) => harness.harness(harness.home, ...argv);
const statusNow = async (): Promise<ServiceStatus[]> => JSON.parse((await here("infra", "status", "--json")).stdout);
const pidOf = async (id: string): Promise<number> => (await statusNow()).find((one) => one.service === id)?.pid ?? 0;
const infraNow = (): Promise<Infra> => resolveInfra(homePaths(harness.home), configSchema.parse({}).infra, harness.env);
const ask = async (text: string): Promise<unknown> =>
  Object.values((await withSql((await infraNow()).postgres, "postgres", (sql) => sql.query(text))).rows[0] ?? {})[0];

/** Whatever of this home runs: services, their children, the PM2 daemon. */
const running = async (): Promise<string[]> => {
  const named = (await listProcesses()).filter((one) => one.command.includes(harness.home));
  return [...named, ...(await findMarked(serviceMark, harness.home))].map((one) => one.command);
};
const nothingRuns = () => until("nothing to run", async () => (await running()).length === 0);

beforeAll(async () => {
  harness = await openHarness();
  throwaway = await writeProject();
  const config = join(throwaway, "agent-harness.yml");
  await writeFile(config, `${await readFile(config, "utf8")}infra: { postgres: { durability: throwaway } }\n`);
  const up = await here("infra", "up");
  expect(up.exitCode, up.stderr).toBe(0);
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await rm(throwaway, { recursive: true, force: true });
});

describe("infra down", () => {
  it("keeps data and credentials for the next up, and leaves nothing running", async () => {
    const paths = homePaths(harness.home);
    const credentials = await readFile(paths.credentials, "utf8");
    const { s3, mail, machine } = await infraNow();
    await ask("CREATE TABLE kept AS SELECT 42 AS answer");
    await openBuckets(s3).ensure("kept", { machine, kind: "test" });
    await sendMail(mail.smtpPort, { from: "kept@a.test", to: ["b@a.test"], subject: "kept", text: "kept" });
    await until("the mail", async () => (await openMail(mail).list({ from: "kept@a.test" })).length === 1);

    const down = await here("infra", "down");
    expect(down.exitCode, down.stderr).toBe(0);
    await nothingRuns();
    expect(await readdir(harness.home)).not.toContain("infra.json");
    const again = await here("infra", "down");
    expect([again.exitCode, again.stdout]).toEqual([0, "No service was running.\n"]);
    const status = await here("infra", "status");
    expect(status.exitCode).toBe(1);
    expect(status.stdout.match(/ down /g)).toHaveLength(4);

    const up = await here("infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
    expect(await readFile(paths.credentials, "utf8")).toBe(credentials);
    expect(await ask("SELECT answer FROM kept")).toBe(42);
    expect(await openBuckets(s3).marker("kept")).toEqual({ machine, kind: "test" });
    expect(await openMail(mail).list({ from: "kept@a.test" })).toHaveLength(1);
  });
});

describe("a PM2 daemon that was killed", () => {
  const killDaemon = async (): Promise<void> => {
    const pid = Number(await readFile(join(homePaths(harness.home).pm2, "pm2.pid"), "utf8"));
    process.kill(pid, "SIGKILL");
    await until("the daemon to end", () => !isAlive(pid));
    expect((await running()).length).toBeGreaterThan(3);
  };

  it("is replaced by up, which takes over the ports and the data of what it left", async () => {
    const before = await pidOf("postgres");
    await killDaemon();
    expect(isAlive(before)).toBe(true);
    const up = await here("infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
    // A zombie, where pid 1 is slow to collect, counts as alive for a moment.
    await until("the old server to end", () => !isAlive(before));
    expect(await ask("SELECT answer FROM kept")).toBe(42);
    expect((await statusNow()).every((one) => one.healthy && one.pid)).toBe(true);
  });

  it("does not have down leave what it ran, when another daemon has taken its place since", async () => {
    await killDaemon();
    await using _second = await openProcesses(homePaths(harness.home).pm2);
    const down = await here("infra", "down");
    expect(down.exitCode, down.stderr).toBe(0);
    expect(down.stdout).toContain("infra-postgres");
    await nothingRuns();
    expect((await here("infra", "up")).exitCode).toBe(0);
  });

  it("leaves nothing after down either", async () => {
    await killDaemon();
    const down = await here("infra", "down");
    expect(down.exitCode, down.stderr).toBe(0);
    expect(down.stdout).toContain("infra-postgres");
    await nothingRuns();
    expect((await here("infra", "up")).exitCode).toBe(0);
  });
});

describe("Postgres killed while a session is busy", () => {
  it("comes back by itself when the session has ended", async () => {
    const { postgres } = await infraNow();
    const busy = "SELECT count(*) FROM generate_series(1, 12000000) a WHERE a % 7 = 0";
    const session = withSql(postgres, "postgres", (sql) => sql.query(busy)).catch(() => undefined);
    const atWork = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM generate_series%'";
    await until("the session", () => ask(atWork));
    const pid = await pidOf("postgres");
    process.kill(pid, "SIGKILL");
    // It may even get its answer: its own process lives on without the first one, and no new server starts beside it.
    await session;
    await until("Postgres to be back", () => ask("SELECT answer FROM kept").catch(() => false), 40_000);
    expect(await pidOf("postgres")).not.toBe(pid);
  });
});

describe("a changed durability", () => {
  const fsync = () => ask("SHOW fsync");
  const upIn = (folder: string) => harness.harness(folder, "infra", "up");

  it("is applied by up, to Postgres only, while no stack is alive", async () => {
    expect(await fsync()).toBe("on");
    const others = await Promise.all(["s3", "browser", "mail"].map(pidOf));
    const up = await upIn(throwaway);
    expect(up.exitCode, up.stderr).toBe(0);
    expect(up.stderr).toContain("postgres is started again: its settings changed");
    expect(await fsync()).toBe("off");
    expect(await Promise.all(["s3", "browser", "mail"].map(pidOf))).toEqual(others);
    const pid = await pidOf("postgres");
    expect((await upIn(throwaway)).stderr).not.toContain("settings");
    expect(await pidOf("postgres")).toBe(pid);
  });

  it("is put off, and said to be, while a stack is alive; nor can infra go away under it", async () => {
    const launch = await harness.harness(throwaway, "launch", "50");
    expect(launch.exitCode, launch.stderr).toBe(0);
    const pid = await pidOf("postgres");
    const up = await here("infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
    expect(up.stderr).toContain("postgres still runs with its earlier settings");
    expect(up.stderr).toContain("agent-harness teardown-all --everywhere");
    for (const argv of [["down"], ["destroy"], ["destroy", "--force"]]) {
      const refused = await here("infra", ...argv);
      expect(refused.exitCode).toBe(5);
      expect(refused.stderr).toMatch(/agent 50 of .*\n[\s\S]*teardown-all --everywhere/);
    }
    expect(await pidOf("postgres")).toBe(pid);
    const teardown = await harness.harness(throwaway, "teardown", "50");
    expect(teardown.exitCode, teardown.stderr).toBe(0);
    expect((await here("infra", "up")).exitCode).toBe(0);
    expect(await fsync()).toBe("on");
  });
});

describe("infra destroy", () => {
  it("refuses without --force, naming what would be lost", async () => {
    const { exitCode, stderr } = await here("infra", "destroy");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("agent_harness, the harness's own database");
    expect(stderr).toContain("agent-harness infra destroy --force");
    expect(await ask("SELECT answer FROM kept")).toBe(42);
  });

  it("with --force leaves no data, no secrets and no process; the next up begins anew", async () => {
    const paths = homePaths(harness.home);
    const { machine } = await infraNow();
    // Credentials that cannot be read are never made anew over data that only they open; this is the way out.
    await writeFile(paths.credentials, "{");
    const unreadable = await here("infra", "up");
    expect(unreadable.exitCode).toBe(3);
    expect(unreadable.stderr).toContain(`The credentials in ${paths.credentials} cannot be read.`);
    const { exitCode, stderr } = await here("infra", "destroy", "--force");
    expect(exitCode, stderr).toBe(0);
    await nothingRuns();
    // Programs, logs, locks and what was learned of memory hold nothing of the data.
    const skeleton = [
      "admission",
      "browser",
      "estimates.json",
      "locks",
      "logs",
      "pm2",
      "postgres",
      "registry.json",
      "stacks",
      "verify",
    ];
    expect((await readdir(harness.home)).filter((name) => !skeleton.includes(name))).toEqual([]);
    expect(await readdir(join(harness.home, "postgres"))).toEqual(["bin"]);
    expect(await readdir(paths.stacks)).toEqual([]);
    const up = await here("infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
    expect((await infraNow()).machine).not.toBe(machine);
    expect(await ask("SELECT count(*)::int FROM pg_class WHERE relname = 'kept'")).toBe(0);
    expect(await ask("SELECT count(*)::int FROM pg_database WHERE datname = 'agent_harness'")).toBe(1);
  });
});
