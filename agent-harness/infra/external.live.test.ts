import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { openHarness, type TestHarness, writeProject } from "../testing/harness.ts";
import { freePorts } from "../testing/ports.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { until } from "../testing/until.ts";
import { openBuckets, type S3Connection } from "./buckets.ts";
import type { ServiceStatus } from "./status.ts";

/* Services that exist already, given by URL: used, never started, stopped or destroyed. */

let harness: TestHarness;
let postgres: TestPostgres;
let s3: S3Connection;
let s3Server: ChildProcess;
let folder: string;

const inProject = (...argv: string[]) => harness.harness(folder, ...argv);

async function configure(infra: Record<string, unknown>): Promise<void> {
  // JSON is YAML; the rest is the small project's.
  await writeFile(join(folder, ".env.agent-harness"), "");
  const config = {
    name: "external",
    ports: { api: 8000 },
    database: { inputs: ["schema.sql"], build: ["node build.mjs"], pool: 1 },
    processes: { api: { command: "node server.mjs", port: "api", health: { path: "/health" } } },
    settleMs: 300,
    infra,
  };
  await writeFile(join(folder, "agent-harness.yml"), JSON.stringify(config));
}

const external = () => ({
  postgres: { url: postgres.url },
  s3: { url: s3.url, accessKey: s3.accessKey, secretKey: s3.secretKey },
});

async function startS3(home: string): Promise<void> {
  const [port = 0] = await freePorts(1);
  s3 = { url: `http://127.0.0.1:${port}`, accessKey: "theirs", secretKey: "their-secret-key", region: "us-east-1" };
  s3Server = spawn(process.execPath, [join(packageRoot(), "dist", "infra", "servers", "s3.js")], {
    env: {
      PATH: process.env["PATH"],
      S3_PORT: String(port),
      S3_DATA: join(home, "their-s3"),
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
    },
    stdio: "ignore",
  });
  await until("the S3 server", () =>
    openBuckets(s3)
      .ping()
      .then(
        () => true,
        () => false,
      ),
  );
}

beforeAll(async () => {
  [harness, postgres, folder] = await Promise.all([openHarness(), openTestPostgres(), writeProject()]);
  await startS3(postgres.home);
  await postgres.sql("postgres", "CREATE DATABASE theirs");
  await openBuckets(s3).ensure("theirs", { by: "them" });
});
afterAll(async () => {
  await configure(external());
  await harness[Symbol.asyncDispose]();
  s3Server.kill("SIGTERM");
  await once(s3Server, "exit");
  await postgres[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("services given by URL", () => {
  it("are used by up and shown without their secrets", async () => {
    await configure(external());
    const up = await inProject("infra", "up", "--json");
    expect(up.exitCode, up.stderr).toBe(0);
    const all = JSON.parse(up.stdout) as ServiceStatus[];
    expect(all.map(({ service, driver, healthy }) => [service, driver, healthy])).toEqual([
      ["postgres", "external", true],
      ["s3", "external", true],
      ["browser", "embedded", true],
      ["mail", "embedded", true],
    ]);
    const status = await inProject("infra", "status");
    for (const text of [up.stdout, up.stderr, status.stdout, status.stderr]) {
      expect(text).not.toContain(postgres.server.password);
      expect(text).not.toContain(s3.secretKey);
    }
    expect(await postgres.names("agent_harness")).toEqual(["agent_harness"]);
  });

  it("hold the stack's database and bucket, and lose nothing else by teardown, down and destroy", async () => {
    const launch = await inProject("launch", "51");
    expect(launch.exitCode, launch.stderr).toBe(0);
    expect(await postgres.names("agent_51")).toEqual(["agent_51"]);
    expect(await openBuckets(s3).list()).toEqual(expect.arrayContaining(["agent-51", "theirs"]));
    expect((await postgres.sql("agent_51", "SELECT text FROM notes")).rows).toEqual([{ text: "seed" }]);
    const teardown = await inProject("teardown", "51");
    expect(teardown.exitCode, teardown.stderr).toBe(0);
    expect(await postgres.names("agent_51")).toEqual([]);
    expect(await openBuckets(s3).exists("agent-51")).toBe(false);

    for (const argv of [["down"], ["destroy", "--force"]]) {
      const done = await inProject("infra", ...argv);
      expect(done.exitCode, done.stderr).toBe(0);
      expect(postgres.child().exitCode).toBeNull();
      expect(s3Server.exitCode).toBeNull();
      expect(await postgres.names("theirs")).toEqual(["theirs"]);
      expect(await postgres.names("agent_harness")).toEqual(["agent_harness"]);
      expect(await openBuckets(s3).marker("theirs")).toEqual({ by: "them" });
    }
  });
});

describe("a wrong URL", () => {
  const secret = "s3cr3t-word";
  const at = (port: number, password = secret) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;

  async function refused(infra: Record<string, unknown>, exitCode: number): Promise<string> {
    await configure(infra);
    const shown = [await inProject("infra", "up"), await inProject("infra", "up", "--json")];
    shown.push(await inProject("infra", "status", "--json"));
    for (const { stdout, stderr } of shown) for (const text of [stdout, stderr]) expect(text).not.toContain(secret);
    for (const one of shown.slice(0, 2)) expect(one.exitCode, one.stderr).toBe(exitCode);
    return shown[0]?.stderr ?? "";
  }

  it("is a Postgres that refuses the password, or is not there", async () => {
    const [nobody = 0] = await freePorts(1);
    const denied = await refused({ postgres: { url: at(postgres.server.port) } }, 6);
    expect(denied).toContain("INFRA_DOWN: The external postgres of the config does not work: password authentication");
    const absent = await refused({ postgres: { url: at(nobody) } }, 6);
    expect(absent).toContain(`Postgres at 127.0.0.1:${nobody} does not answer`);
    expect(absent).toContain("take infra.postgres out of agent-harness.yml");
  });

  it("is an S3 server that refuses the keys, or is not there", async () => {
    const [nobody = 0] = await freePorts(1);
    const keys = { accessKey: "theirs", secretKey: secret };
    expect(await refused({ s3: { url: s3.url, ...keys } }, 6)).toContain("INFRA_DOWN: The external s3 of the config");
    expect(await refused({ s3: { url: `http://127.0.0.1:${nobody}`, ...keys } }, 6)).toContain(String(nobody));
  });

  it("is one that is no URL, or lacks its keys", async () => {
    expect(await refused({ postgres: { url: `postgres:/${secret}` } }, 3)).toContain("infra.postgres.url");
    expect(await refused({ postgres: { url: `mysql://u:${secret}@127.0.0.1/x` } }, 3)).toContain("postgres://");
    expect(await refused({ s3: { url: `http://u:${secret}@127.0.0.1:9000` } }, 3)).toContain("infra.s3.accessKey");
  });
});
