import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { homePaths } from "../shared/paths.ts";
import { findMarked, listProcesses, treeOf } from "../shared/process-tree.ts";
import { runBin } from "../testing/bin.ts";
import { browserContract } from "../testing/browser-contract.ts";
import { bucketsContract } from "../testing/buckets-contract.ts";
import { openHarness, type TestHarness } from "../testing/harness.ts";
import { listenersOf } from "../testing/listening.ts";
import { mailContract } from "../testing/mail-contract.ts";
import { freePorts } from "../testing/ports.ts";
import { postgresContract } from "../testing/postgres-contract.ts";
import { until } from "../testing/until.ts";
import { serviceMark } from "./embedded/strays.ts";
import { resolveInfra } from "./resolve.ts";
import type { Infra } from "./services.ts";
import type { ServiceStatus } from "./status.ts";

let harness: TestHarness;
let infra: Infra;

const bin = (...argv: string[]) => runBin("agent-harness", argv, { cwd: harness.home, env: harness.env });
const here = (...argv: string[]) => harness.harness(harness.home, ...argv);
const statusNow = async (): Promise<ServiceStatus[]> => JSON.parse((await here("infra", "status", "--json")).stdout);
const pids = async (): Promise<(number | undefined)[]> => (await statusNow()).map((one) => one.pid);

beforeAll(async () => {
  harness = await openHarness();
});
afterAll(async () => await harness[Symbol.asyncDispose]());

describe("infra up", () => {
  it("names the process that has its port, and the variable that moves it; then leaves nothing half started", async () => {
    const port = Number(harness.env["AGENT_MINIO_PORT"]);
    const server = createServer().listen(port, "127.0.0.1");
    await until("the port", () => server.listening);
    const { exitCode, stderr } = await here("infra", "up");
    await new Promise((resolve) => server.close(resolve));
    expect(exitCode).toBe(5);
    expect(stderr).toContain(`Port ${port} (AGENT_MINIO_PORT) is in use by pid ${process.pid} (`);
    expect((await statusNow()).filter((one) => one.healthy)).toEqual([]);
  });

  it("run twice at the same time from nothing makes one set of services, all healthy", async () => {
    const ups = await Promise.all([bin("infra", "up", "--json"), bin("infra", "up", "--json")]);
    for (const { exitCode, stderr } of ups) expect(exitCode, stderr).toBe(0);
    const [one, two] = ups.map(({ stdout }) => JSON.parse(stdout) as ServiceStatus[]);
    expect(one?.map(({ service, healthy, driver }) => ({ service, healthy, driver }))).toEqual(
      ["postgres", "s3", "browser", "mail"].map((service) => ({ service, healthy: true, driver: "embedded" })),
    );
    expect(two?.map(({ pid }) => pid)).toEqual(one?.map(({ pid }) => pid));
    expect(one?.map(({ restarts }) => restarts)).toEqual([0, 0, 0, 0]);
    const roots = (await findMarked(serviceMark, harness.home)).filter(({ command }) =>
      /bin\/postgres|servers\//.test(command),
    );
    expect(roots).toHaveLength(4);
    infra = await resolveInfra(homePaths(harness.home), configSchema.parse({}).infra, harness.env);
  });

  it("again changes nothing", async () => {
    const before = await pids();
    const record = await readFile(homePaths(harness.home).infra, "utf8");
    const { exitCode, stderr } = await here("infra", "up");
    expect(exitCode, stderr).toBe(0);
    // Tried once, at the start.
    expect(JSON.parse(record)).toMatchObject({ reflink: infra.postgres.reflink });
    expect(await readFile(homePaths(harness.home).infra, "utf8")).toBe(record);
    expect(stderr.match(/already up/g)).toHaveLength(4);
    expect(await pids()).toEqual(before);
  });

  it("refuses other ports than those that run, and asks for none where no variable is set", async () => {
    const before = await pids();
    const [other] = await freePorts(1);
    const asked = await runBin("agent-harness", ["infra", "up"], {
      cwd: harness.home,
      env: { ...harness.env, AGENT_DB_PORT: String(other) },
    });
    expect(asked.exitCode).toBe(5);
    expect(asked.stderr).toContain(`AGENT_DB_PORT is ${other}, not ${infra.postgres.port}`);
    expect(asked.stderr).toContain("agent-harness infra down");
    const bare = Object.fromEntries(Object.entries(harness.env).filter(([name]) => !/^AGENT_.*_PORT$/.test(name)));
    const { exitCode, stderr } = await runBin("agent-harness", ["infra", "up"], { cwd: harness.home, env: bare });
    expect(exitCode, stderr).toBe(0);
    expect(await pids()).toEqual(before);
  });

  it("finds what runs when its record cannot be read, and keeps the bad one aside", async () => {
    const before = await pids();
    const { infra: record } = homePaths(harness.home);
    await writeFile(record, '{"driver": "embed');
    const { exitCode, stderr } = await here("infra", "up");
    expect(exitCode, stderr).toBe(0);
    expect(await pids()).toEqual(before);
    expect((await readdir(harness.home)).filter((name) => name.startsWith("infra.json.corrupt-"))).toHaveLength(1);
    expect(JSON.parse(await readFile(record, "utf8"))).toMatchObject({ ports: { postgres: infra.postgres.port } });
  });
});

describe("the embedded services", () => {
  postgresContract(() => infra.postgres, { vector: false });
  bucketsContract(() => infra.s3, { versions: false, hidesBelowObjects: false });
  browserContract(() => infra.browser.url);
  mailContract(() => infra.mail, ["maildev"]);

  it.runIf(process.platform === "linux")("listen on loopback only, a browser at work too", async () => {
    const browser = await chromium.connectOverCDP(infra.browser.url);
    const page = await browser.newPage();
    await page.goto("about:blank");
    const all = await listProcesses();
    const ours = (await findMarked(serviceMark, harness.home)).flatMap((one) => treeOf(one.pid, all));
    // By its environment: its title is cut off where the home is long.
    const daemon = (await findMarked("PM2_HOME", `${harness.home}/pm2`)).filter((one) => /^PM2 v/.test(one.command));
    expect(daemon).toHaveLength(1);
    const found = await listenersOf([...new Set([...ours, ...daemon].map((one) => one.pid))]);
    await browser.close();
    expect(found.filter((one) => !one.loopback)).toEqual([]);
    const { postgres, s3, browser: web, mail } = infra;
    const ports = [postgres.port, s3.port, web.port, mail.smtpPort, Number(new URL(mail.webUrl).port)];
    expect(found.map((one) => one.port)).toEqual(expect.arrayContaining(ports));
  });

  it("keep their secrets in one file that only its owner reads", async () => {
    const { credentials, logs } = homePaths(harness.home);
    expect((await stat(credentials)).mode & 0o777).toBe(0o600);
    const { postgres, s3 } = JSON.parse(await readFile(credentials, "utf8"));
    expect(postgres.password).toBe(infra.postgres.password);
    const shown = await Promise.all([
      here("infra", "up"),
      here("infra", "up", "--json"),
      here("infra", "status"),
      here("infra", "status", "--json"),
      here("infra", "logs", "--lines", "1000"),
    ]);
    const texts = shown.flatMap(({ stdout, stderr }) => [stdout, stderr]);
    for (const id of ["postgres", "s3", "browser", "mail"]) {
      texts.push(await readFile(`${logs}/infra-${id}.log`, "utf8").catch(() => ""));
    }
    for (const text of texts)
      for (const secret of [postgres.password, s3.secretKey]) expect(text).not.toContain(secret);
    expect((await listProcesses()).filter((one) => one.command.includes(postgres.password))).toEqual([]);
  });

  it.each(["postgres", "s3", "browser", "mail"] as const)("come back when %s is killed", async (id) => {
    const pid = (await statusNow()).find((one) => one.service === id)?.pid ?? 0;
    expect(pid).toBeGreaterThan(0);
    process.kill(pid, "SIGKILL");
    const back = await until(
      `${id} to be back`,
      async () => (await statusNow()).find((one) => one.service === id && one.healthy && one.pid !== pid),
      20_000,
    );
    expect(back.restarts).toBeGreaterThan(0);
  });
});

describe("infra logs", () => {
  it.each([
    ["postgres", "db"],
    ["s3", "minio"],
    ["browser", "headless-browser"],
    ["mail", "mailpit"],
  ])("shows %s also as %s", async (id, alias) => {
    const [own, other] = await Promise.all([here("infra", "logs", id), here("infra", "logs", alias)]);
    expect(own.stdout).toMatch(new RegExp(`^${id}  .*\\S`));
    expect(other.stdout).toBe(own.stdout);
  });

  it("knows no other service", async () => {
    const { exitCode, stderr } = await here("infra", "logs", "redis");
    expect(exitCode).toBe(4);
    expect(stderr).toContain('"redis"');
    expect(stderr).toContain("postgres, s3, browser, mail");
  });
});
