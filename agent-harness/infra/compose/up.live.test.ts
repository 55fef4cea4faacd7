import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../shared/config-schema.ts";
import { homePaths, packageRoot } from "../../shared/paths.ts";
import { findMarked, listProcesses, treeOf } from "../../shared/process-tree.ts";
import { infraPortVariables } from "../../shared/settings.ts";
import { runBin } from "../../testing/bin.ts";
import { hasDocker } from "../../testing/docker.ts";
import { openHarness, type TestHarness, writeProject } from "../../testing/harness.ts";
import { listenersOf, listenersOn } from "../../testing/listening.ts";
import { ownProject } from "../../testing/own-project.ts";
import { freePorts } from "../../testing/ports.ts";
import { until } from "../../testing/until.ts";
import { openBuckets } from "../buckets.ts";
import { serviceMark } from "../embedded/strays.ts";
import { findRecord } from "../record.ts";
import { resolveInfra } from "../resolve.ts";
import { type Infra, serviceIds } from "../services.ts";
import { withSql } from "../sql.ts";
import type { ServiceStatus } from "../status.ts";
import { imageVariables } from "./images.ts";

const megabyte = 1024 * 1024;

describe.skipIf(!hasDocker)("with Docker: infra up", () => {
  let harness: TestHarness;

  const bin = (...argv: string[]) => runBin("agent-harness", argv, { cwd: harness.home, env: harness.env });
  const here = (...argv: string[]) => harness.harness(harness.home, ...argv);
  const paths = () => homePaths(harness.home);
  const { project, nameOf, docker, list, inspect } = ownProject(() => harness);
  const containers = () => list("container");
  const infraNow = (): Promise<Infra> => resolveInfra(paths(), configSchema.parse({}).infra, harness.env);
  const statusNow = async (): Promise<ServiceStatus[]> => JSON.parse((await here("infra", "status", "--json")).stdout);
  const ask = async (text: string): Promise<unknown> =>
    Object.values((await withSql((await infraNow()).postgres, "postgres", (sql) => sql.query(text))).rows[0] ?? {})[0];

  /** The environment of a shell that knows the home and nothing else of the harness or of Docker. */
  const bareEnv = (): NodeJS.ProcessEnv => ({
    ...Object.fromEntries(Object.entries(harness.env).filter(([name]) => !/^(AGENT_|DOCKER_)/.test(name))),
    AGENT_HARNESS_HOME: harness.home,
  });
  const bare = (...argv: string[]) => runBin("agent-harness", argv, { cwd: harness.home, env: bareEnv() });
  const withEnv = (env: NodeJS.ProcessEnv, ...argv: string[]) =>
    runBin("agent-harness", argv, { cwd: harness.home, env: { ...harness.env, ...env } });

  beforeAll(async () => {
    harness = await openHarness({ driver: "compose" });
  });
  afterAll(async () => await harness?.[Symbol.asyncDispose]());

  it("run twice at the same time from nothing makes one set of containers, all healthy", async () => {
    const ups = await Promise.all([bin("infra", "up", "--json"), bin("infra", "up", "--json")]);
    for (const { exitCode, stderr } of ups) expect(exitCode, stderr).toBe(0);
    const [one, two] = ups.map(({ stdout }) => JSON.parse(stdout) as ServiceStatus[]);
    expect(one?.map(({ service, healthy, driver, health }) => ({ service, healthy, driver, health }))).toEqual(
      serviceIds.map((service) => ({ service, healthy: true, driver: "compose", health: "healthy" })),
    );
    expect(two?.map(({ pid }) => pid)).toEqual(one?.map(({ pid }) => pid));
    expect(one?.map(({ restarts }) => restarts)).toEqual([0, 0, 0, 0]);
    expect(await containers()).toHaveLength(4);
    expect(await list("volume")).toHaveLength(3);
    await ask("CREATE TABLE kept AS SELECT 42 AS answer");
  });

  it("shows the image, the health and the memory of each service against its limit", async () => {
    const images = (await findRecord(paths()))?.compose?.images;
    for (const one of await statusNow()) {
      expect(one).toMatchObject({ image: images?.[one.service], health: "healthy" });
      expect(one.image).toBe(harness.env[imageVariables[one.service]] ?? one.image);
      expect(one.log).toBe(`container ${nameOf(one.service)}`);
      expect(one.memoryBytes).toBeGreaterThan(megabyte);
      expect(one.memoryBytes).toBeLessThan(one.memoryLimitBytes ?? 0);
    }
    const limits = (await statusNow()).map((one) => (one.memoryLimitBytes ?? 0) / megabyte);
    expect(limits).toEqual([1024, 512, 1024, 256]);
    expect((await here("infra", "status")).stdout).toMatch(/postgres +healthy +compose +\S+ +\d+ MB of 1\.0 GB/);
  });

  it("gives each container a limit, a health check, a restart policy and named volumes only", async () => {
    for (const { Name, HostConfig, Config, Mounts } of await inspect()) {
      expect(HostConfig.Memory, Name).toBeGreaterThanOrEqual(256 * megabyte);
      expect(HostConfig.RestartPolicy.Name, Name).toBe("unless-stopped");
      expect(Config.Healthcheck?.Test.length, Name).toBeGreaterThan(1);
      const volumes = Mounts.filter((one) => one.Type === "volume").map((one) => one.Name ?? "");
      expect(
        volumes.filter((name) => !name.startsWith(`${project()}_agent-`)),
        Name,
      ).toEqual([]);
    }
  });

  it("again changes nothing", async () => {
    const before = await containers();
    const record = await readFile(paths().infra, "utf8");
    const { exitCode, stderr } = await here("infra", "up");
    expect(exitCode, stderr).toBe(0);
    expect(stderr.match(/already up/g)).toHaveLength(4);
    expect(await readFile(paths().infra, "utf8")).toBe(record);
    expect(await containers()).toEqual(before);
  });

  it("is found by a shell without any of the variables that started it", async () => {
    const [before, status] = [await containers(), await statusNow()];
    const { exitCode, stderr } = await bare("infra", "up");
    expect(exitCode, stderr).toBe(0);
    expect(stderr.match(/already up/g)).toHaveLength(4);
    expect(await containers()).toEqual(before);
    const seen = JSON.parse((await bare("infra", "status", "--json")).stdout) as ServiceStatus[];
    expect(seen.map(({ pid, url }) => [pid, url])).toEqual(status.map(({ pid, url }) => [pid, url]));
    expect((await bare("infra", "logs", "db", "--lines", "5")).stdout).toMatch(/^postgres {2}/);
  });

  it("refuses other ports, another project and another engine than those it runs with, and touches nothing", async () => {
    const before = await containers();
    const [port = 0] = await freePorts(1);
    const cases: [NodeJS.ProcessEnv, string][] = [
      [{ AGENT_DB_PORT: String(port) }, `PORTS_DIFFER: Infra was started with other ports: AGENT_DB_PORT is ${port}`],
      [{ AGENT_COMPOSE_PROJECT: "another" }, `ENGINE_DIFFERS: .*AGENT_COMPOSE_PROJECT is another, not ${project()}`],
      [{ DOCKER_HOST: "unix:///nowhere.sock" }, "ENGINE_DIFFERS: .*the Docker engine is unix:///nowhere.sock, not "],
    ];
    for (const [env, message] of cases) {
      const { exitCode, stderr } = await withEnv(env, "infra", "up");
      expect(exitCode, stderr).toBe(5);
      expect(stderr).toMatch(new RegExp(message));
      expect(stderr).toContain("agent-harness infra down");
    }
    expect(await containers()).toEqual(before);
  });

  it.each(["the same shell", "a shell without the variables"])(
    "finds what runs when its record cannot be read, from %s",
    async (shell) => {
      const [before, record] = [await containers(), await findRecord(paths())];
      await writeFile(paths().infra, '{"driver": "comp');
      const { exitCode, stderr } = shell === "the same shell" ? await bin("infra", "up") : await bareWithEngine();
      expect(exitCode, stderr).toBe(0);
      expect(stderr.match(/already up/g)).toHaveLength(4);
      expect(await containers()).toEqual(before);
      const { ports, compose } = record ?? {};
      expect(await findRecord(paths())).toMatchObject({ driver: "compose", ports, compose });
    },
  );

  /** Where the engine is has to be known to somebody. */
  const bareWithEngine = () =>
    runBin("agent-harness", ["infra", "up"], {
      cwd: harness.home,
      env: { ...bareEnv(), DOCKER_HOST: harness.env["DOCKER_HOST"] },
    });

  it("publishes everything on loopback only", async () => {
    const bindings = (await inspect()).flatMap(({ HostConfig }) => Object.values(HostConfig.PortBindings ?? {}).flat());
    expect(new Set(bindings.map((one) => one.HostIp))).toEqual(new Set(["127.0.0.1"]));
    if (process.platform !== "linux") return;
    const ports = Object.values(infraPortVariables).map(({ variable }) => Number(harness.env[variable]));
    const found = await listenersOn(ports);
    expect([...new Set(found.map((one) => one.port))].sort()).toEqual(ports.sort());
    expect(found.filter((one) => !one.loopback)).toEqual([]);
  });

  it.runIf(process.platform === "linux" && process.getuid?.() === 0)(
    "has the browser, which shares the machine's network, listen on loopback only, also at work",
    async () => {
      const browser = await chromium.connectOverCDP((await infraNow()).browser.url);
      try {
        await (await browser.newPage()).goto("about:blank");
        const [container] = await inspect(nameOf("browser"));
        const pids = treeOf(container?.State.Pid ?? 0, await listProcesses()).map((one) => one.pid);
        expect(pids.length).toBeGreaterThan(3);
        const found = await listenersOf(pids);
        expect(found.map((one) => one.port)).toContain(Number(harness.env["AGENT_BROWSER_PORT"]));
        expect(found.filter((one) => !one.loopback)).toEqual([]);
      } finally {
        await browser.close();
      }
    },
  );

  it("keeps its secrets in files that only their owner reads, and shows them to nobody", async () => {
    const { postgres, s3 } = JSON.parse(await readFile(paths().credentials, "utf8"));
    const folder = join(paths().compose, "secrets");
    const files = (await readdir(folder)).sort();
    expect(files).toEqual(["postgres-password", "s3-access-key", "s3-secret-key"]);
    for (const name of [paths().credentials, ...files.map((one) => join(folder, one))]) {
      expect((await stat(name)).mode & 0o777, name).toBe(0o600);
    }
    const shown = await Promise.all([
      here("infra", "up"),
      here("infra", "up", "--json"),
      here("infra", "status"),
      here("infra", "status", "--json"),
      here("infra", "logs", "--lines", "1000"),
    ]);
    const texts = shown.flatMap(({ stdout, stderr }) => [stdout, stderr]);
    texts.push(JSON.stringify(await inspect()), await readFile(paths().infra, "utf8"));
    texts.push((await listProcesses()).map((one) => one.command).join("\n"));
    for (const text of texts) {
      for (const secret of [postgres.password, s3.accessKey, s3.secretKey]) expect(text).not.toContain(secret);
    }
  });

  it("gives new lines of a service's log to who follows it, over a restart of its container too", async () => {
    const args = [join(packageRoot(), "dist", "bin", "agent-harness.js"), "infra", "logs", "db", "--follow"];
    const child = spawn(process.execPath, [...args, "--lines", "1"], { cwd: harness.home, env: harness.env });
    let text = "";
    child.stdout.on("data", (data) => (text += data));
    const complain = (word: string) => ask(`SELECT 1 FROM ${word}`).catch(() => undefined);
    try {
      await until("the first line", () => text.includes("\n"));
      await complain("nothing_of_this_name");
      await until("the new line", () => /^postgres {2}.*nothing_of_this_name/m.test(text));
      await docker("restart", "-t", "1", nameOf("postgres"));
      await until("the line of the restart", () => text.includes("database system is ready to accept connections"));
      await until("postgres to be back", () => ask("SELECT 1").catch(() => false));
      await complain("another_of_this_name");
      await until("the line after the restart", () => text.includes("another_of_this_name"));
      expect(text.match(/relation "nothing_of_this_name" does not exist/g)).toHaveLength(1);
    } finally {
      child.kill("SIGINT");
      await once(child, "close");
    }
  });

  it("starts anew a service that hangs, and no other", async () => {
    const before = await statusNow();
    await docker("pause", nameOf("mail"));
    const { exitCode, stderr } = await here("infra", "up");
    expect(exitCode, stderr).toBe(0);
    expect(stderr.match(/already up/g)).toHaveLength(3);
    const after = await statusNow();
    expect(after.every((one) => one.healthy)).toBe(true);
    expect(after.slice(0, 3).map(({ pid }) => pid)).toEqual(before.slice(0, 3).map(({ pid }) => pid));
  });

  it("down keeps the data and leaves no container; the next up has it again", async () => {
    const { s3, machine } = await infraNow();
    await openBuckets(s3).ensure("kept", { machine, kind: "test" });
    const down = await here("infra", "down");
    expect(down.exitCode, down.stderr).toBe(0);
    expect(down.stdout).toContain(nameOf("postgres"));
    expect([await containers(), await list("network")]).toEqual([[], []]);
    expect(await list("volume")).toHaveLength(3);
    const again = await here("infra", "down");
    expect([again.exitCode, again.stdout]).toEqual([0, "No service was running.\n"]);
    const status = await here("infra", "status");
    expect([status.exitCode, status.stdout.match(/ down /g)?.length]).toEqual([1, 4]);
    const up = await here("infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
    expect(await ask("SELECT answer FROM kept")).toBe(42);
    expect(await openBuckets(s3).marker("kept")).toEqual({ machine, kind: "test" });
  });

  describe("another driver", () => {
    let folder: string;

    beforeAll(async () => {
      folder = await writeProject();
    });
    afterAll(async () => await rm(folder, { recursive: true, force: true }));

    it("is refused while a stack lives on this one, by its name and with the next command", async () => {
      const launch = await harness.harness(folder, "launch", "41");
      expect(launch.exitCode, launch.stderr).toBe(0);
      const before = await containers();
      const embedded = { ...harness.env, AGENT_HARNESS_INFRA_DRIVER: "embedded" };
      for (const refused of [
        await harness.harness(folder, "infra", "up", "--driver", "embedded"),
        await runBin("agent-harness", ["launch", "42"], { cwd: folder, env: embedded }),
      ]) {
        expect(refused.exitCode, refused.stderr).toBe(5);
        expect(refused.stderr).toContain(
          "DRIVER_DIFFERS: The config wants the driver embedded, but agent 41 lives on compose",
        );
        expect(refused.stderr).toContain("agent-harness teardown-all --everywhere");
      }
      expect(await containers()).toEqual(before);
      const teardown = await harness.harness(folder, "teardown", "41");
      expect(teardown.exitCode, teardown.stderr).toBe(0);
    });

    it("takes over without a stack: the one that ran is stopped, keeps its data and has it again", async () => {
      const switched = await here("infra", "up", "--driver", "embedded", "--json");
      expect(switched.exitCode, switched.stderr).toBe(0);
      expect(new Set((JSON.parse(switched.stdout) as ServiceStatus[]).map((one) => one.driver))).toEqual(
        new Set(["embedded"]),
      );
      expect(await containers()).toEqual([]);
      const nowhere = { DOCKER_HOST: "unix:///nowhere.sock", AGENT_HARNESS_INFRA_DRIVER: "compose" };
      const [pids, record] = [(await statusNow()).map((one) => one.pid), await readFile(paths().infra, "utf8")];
      const impossible = await withEnv(nowhere, "infra", "up");
      expect(impossible.exitCode, impossible.stderr).toBe(6);
      expect([(await statusNow()).map((one) => one.pid), await readFile(paths().infra, "utf8")]).toEqual([
        pids,
        record,
      ]);
      const absent = "SELECT count(*)::int FROM pg_class WHERE relname = 'kept'";
      expect(await ask(absent)).toBe(0);
      const back = await here("infra", "up", "--driver", "compose");
      expect(back.exitCode, back.stderr).toBe(0);
      expect(back.stderr).toContain("The services of the driver embedded are stopped; their data is kept.");
      expect(await findMarked(serviceMark, harness.home)).toEqual([]);
      expect(await ask("SELECT answer FROM kept")).toBe(42);
    });
  });

  it("destroy --force takes containers, volumes, network and secrets away, though the credentials cannot be read", async () => {
    await writeFile(paths().credentials, "{");
    const refused = await here("infra", "up");
    expect(refused.stderr).toContain(`The credentials in ${paths().credentials} cannot be read.`);
    const { exitCode, stdout, stderr } = await here("infra", "destroy", "--force");
    expect(exitCode, stderr).toBe(0);
    for (const name of ["db", "minio", "mail"])
      expect(stdout).toContain(`deleted volume ${project()}_agent-${name}-data`);
    for (const kind of ["container", "volume", "network"] as const) expect(await list(kind), kind).toEqual([]);
    for (const gone of [paths().compose, paths().credentials, paths().infra])
      await expect(access(gone)).rejects.toThrow();
  });
});
