import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { infraPortVariables } from "../shared/settings.ts";
import { runBin } from "../testing/bin.ts";
import { build, killedWhile } from "../testing/crash.ts";
import { type OrphanHarness, openOrphans } from "../testing/orphans.ts";
import type { Finding } from "./doctor/finding.ts";
import type { DoctorReport } from "./doctor.ts";

let h: OrphanHarness;

beforeAll(async () => {
  await build();
  h = await openOrphans();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

async function doctor(...argv: string[]): Promise<DoctorReport & { exitCode: number }> {
  const { exitCode, stdout } = await h.harness(h.repo, "doctor", "--json", ...argv);
  return { ...(JSON.parse(stdout) as DoctorReport), exitCode };
}

/** What is worse than a note. */
const bad = ({ findings }: DoctorReport): Finding[] =>
  findings.filter((one) => one.level === "warning" || one.level === "error");

const codes = (findings: readonly Finding[]): string[] => findings.map((one) => one.code).sort();

/** Somebody else who listens on a port. */
async function listenOn(port: number): Promise<AsyncDisposable> {
  const server = createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
  await once(server, "listening");
  return { [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))) };
}

describe("a machine on which all is well", () => {
  test("is found so, with nothing changed", async () => {
    await h.ok(h.repo, "launch", "11");
    const before = await h.everything(11);
    const report = await doctor();
    expect(bad(report)).toEqual([]);
    expect(report).toMatchObject({ exitCode: 0, mended: [], counts: { warning: 0, error: 0 } });
    expect(await h.everything(11)).toEqual(before);
    for (const { code, level, fix, fixable } of report.findings) {
      expect(code).toMatch(/^DOCTOR_[A-Z0-9_]+$/);
      // Every finding that is not well says what mends it.
      expect([code, level === "ok", fix === ""]).toEqual([code, level === "ok", level === "ok"]);
      expect(fixable && level === "ok").toBe(false);
    }
    const infra = report.findings.filter((one) => one.code === "DOCTOR_INFRA");
    expect(infra.map((one) => one.what.split(" ")[0])).toEqual(["postgres", "s3", "browser", "mail"]);
    const text = await h.ok(h.repo, "doctor");
    expect(text.stdout.trimEnd().split("\n").at(-1)).toMatch(/^\d+ ok(, \d+ notes?)?$/);
    expect(text.stdout).not.toMatch(/^ok /m);
    expect((await h.ok(h.repo, "doctor", "--all")).stdout).toMatch(/^ok +DOCTOR_NODE +Node /m);
    await h.ok(h.repo, "teardown", "11");
  });
});

describe("ports", () => {
  test("of agents and of infra that somebody else has are named with the holder", async () => {
    await h.ok(h.repo, "launch", "12");
    await h.ok(h.repo, "infra", "down", "--force");
    const mailPort = Number(h.env["AGENT_MAILPIT_WEB_PORT"]);
    {
      await using _infra = await listenOn(mailPort);
      await using _agent = await listenOn(8000 + 11 * 10);
      const report = await doctor("--agents", "13");
      const ports = report.findings.filter((one) => one.code.endsWith("PORTS"));
      expect(codes(bad({ ...report, findings: ports }))).toEqual(["DOCTOR_INFRA_PORTS", "DOCTOR_PORTS"]);
      for (const one of ports) expect(one).toMatchObject({ fix: expect.stringContaining(`kill ${process.pid}`) });
      expect(ports.map((one) => one.what).join("\n")).toContain(
        `port ${mailPort} (mail) is held by pid ${process.pid}`,
      );
      expect(ports.map((one) => one.what).join("\n")).toContain(
        `port 8110 (api of agent 11) is held by pid ${process.pid}`,
      );
    }
    // What the stack needs is down; that is mended, and looked at again.
    const before = await doctor();
    expect(new Set(codes(bad(before)))).toEqual(new Set(["DOCTOR_INFRA"]));
    const after = await doctor("--fix");
    expect(after).toMatchObject({
      exitCode: 0,
      mended: [{ code: "DOCTOR_INFRA", fix: "agent-harness infra up", done: "infra is up" }],
    });
    await h.ok(h.repo, "teardown", "12");
  });
});

describe("what is written down and cannot be so", () => {
  test("is named with what mends it; --fix does what loses nothing, says so, and looks again", async () => {
    const [deleted, unconfigured] = [await h.project(), await h.project()];
    await h.ok(deleted, "launch", "13");
    await h.ok(unconfigured, "launch", "14");
    await killedWhile(h, { verb: "launch", repo: h.repo, id: 15 }, "bucket", "start");
    await h.ok(h.repo, "launch", "16");
    await killedWhile(h, { verb: "teardown", repo: h.repo, id: 16 }, "database", "start");
    await h.ok(h.repo, "launch", "17");
    await h.forget(17);
    await h.ok(h.repo, "launch", "18");
    await rm(join(h.paths.stacks, "18"), { recursive: true });
    await rm(deleted, { recursive: true });
    const config = await readFile(join(unconfigured, "agent-harness.yml"), "utf8");
    await rm(join(unconfigured, "agent-harness.yml"));

    const before = await doctor();
    expect(before.exitCode).toBe(1);
    expect(codes(bad(before))).toEqual([
      "DOCTOR_CLAIM_ALONE",
      "DOCTOR_CONFIG_GONE",
      "DOCTOR_ORPHANS",
      "DOCTOR_STACK_STUCK",
      "DOCTOR_STACK_STUCK",
      "DOCTOR_WORKDIR_GONE",
    ]);
    expect(
      bad(before)
        .filter((one) => one.fixable)
        .map((one) => one.fix)
        .sort(),
    ).toEqual(["agent-harness gc", "agent-harness teardown 13", "agent-harness teardown 16"]);
    expect(before.findings.filter((one) => one.code === "DOCTOR_LOCK_STALE")).toHaveLength(2);

    const after = await doctor("--fix");
    expect(after.mended.filter((one) => one.error !== undefined)).toEqual([]);
    expect(codes(bad(after))).toEqual(["DOCTOR_CLAIM_ALONE", "DOCTOR_CONFIG_GONE", "DOCTOR_STACK_STUCK"]);
    expect(after.findings.filter((one) => one.code === "DOCTOR_LOCK_STALE")).toEqual([]);
    for (const id of [13, 16, 17]) expect(await h.left(id, h.repo)).toEqual([]);
    // What only the user can decide is as it was.
    expect(await h.pids(18)).toHaveProperty("agent-18-api");

    await writeFile(join(unconfigured, "agent-harness.yml"), config);
    await h.ok(h.repo, "launch", "15");
    await h.ok(h.repo, "launch", "18");
    expect(bad(await doctor())).toEqual([]);
    await h.ok(h.repo, "teardown-all", "--everywhere");
  });

  test("a claim of which nothing is there is given back", async () => {
    await h.ok(h.repo, "launch", "11");
    const registry = await readFile(h.paths.registry, "utf8");
    await h.ok(h.repo, "teardown", "11");
    await writeFile(h.paths.registry, registry);
    expect(bad(await doctor())).toMatchObject([{ code: "DOCTOR_CLAIM_ALONE", fixable: true }]);
    expect(bad(await doctor("--fix"))).toEqual([]);
    expect(await h.left(11)).toEqual([]);
  });

  test("a worktree with work in it is left to its owner, and said why", async () => {
    await h.ok(h.repo, "launch", "12", "--worktree");
    const path = join(h.trees, "agent-12");
    await writeFile(join(path, "work.txt"), "hours of it\n");
    const ledger = join(h.paths.stacks, "12", "ledger.json");
    await writeFile(ledger, (await readFile(ledger, "utf8")).replace('"ready"', '"tearing-down"'));
    const report = await doctor("--fix");
    expect(report.mended).toMatchObject([{ code: "DOCTOR_STACK_STUCK", error: expect.stringContaining("work.txt") }]);
    expect(report.exitCode).toBe(1);
    expect(await readFile(join(path, "work.txt"), "utf8")).toBe("hours of it\n");
    await h.ok(h.repo, "teardown", "12", "--force", "--delete-branch");
  });

  test("a registry that cannot be read is one finding, and all else is looked at", async () => {
    await h.ok(h.repo, "launch", "11");
    const registry = await readFile(h.paths.registry, "utf8");
    await writeFile(h.paths.registry, "{");
    const report = await doctor("--fix");
    expect(bad(report)).toMatchObject([{ code: "DOCTOR_STATE", fixable: false }]);
    expect(report.findings.filter((one) => one.code === "DOCTOR_INFRA")).toHaveLength(4);
    expect(await readFile(h.paths.registry, "utf8")).toBe("{");
    await writeFile(h.paths.registry, registry);
    await h.ok(h.repo, "teardown", "11");
  });
});

test("a project config that is wrong is a finding, and a second PM2 daemon of this home", async () => {
  const broken = await h.project({ "agent-harness.yml": "nonsense: true\n" });
  const title = "PM2 v6.0.0: God Daemon (of somebody)";
  const program = `process.title = ${JSON.stringify(title)}; setInterval(() => undefined, 1000); process.stdout.write("up")`;
  const env = { PATH: process.env["PATH"], PM2_HOME: h.paths.pm2 };
  // A long line of arguments, which a title can be written over.
  const daemon = spawn(process.execPath, ["-e", program, "x".repeat(100)], {
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    await once(daemon.stdout, "data");
    const { exitCode, stdout } = await h.harness(broken, "doctor", "--json");
    expect(exitCode).toBe(1);
    const report = JSON.parse(stdout) as DoctorReport;
    expect(codes(bad(report))).toEqual(["DOCTOR_CONFIG", "DOCTOR_PM2"]);
    const [config, pm2] = ["DOCTOR_CONFIG", "DOCTOR_PM2"].map((code) =>
      report.findings.find((one) => one.code === code),
    );
    expect(config?.what).toContain("nonsense");
    expect(pm2?.what).toContain(`${daemon.pid} (6.0.0)`);
  } finally {
    daemon.kill("SIGKILL");
    await once(daemon, "exit");
  }
});

test("a home in which nothing was ever started stays as empty as it is", async () => {
  const home = await mkdtemp(join(tmpdir(), "ah-none-"));
  try {
    const env = { ...h.env, AGENT_HARNESS_HOME: home };
    const { exitCode, stdout } = await runBin("agent-harness", ["doctor", "--json"], { cwd: h.repo, env });
    expect(exitCode, stdout).toBe(0);
    const { findings } = JSON.parse(stdout) as DoctorReport;
    expect(findings.find((one) => one.code === "DOCTOR_INFRA")).toMatchObject({ level: "note", fixable: false });
    expect(await readdir(home)).toEqual([]);
  } finally {
    await rm(home, { recursive: true });
  }
});

test("somebody who takes a service's port and says nothing does not keep doctor waiting", async () => {
  const sockets: Socket[] = [];
  const ports = Object.values(infraPortVariables).map(({ variable }) => Number(h.env[variable]));
  await h.ok(h.repo, "infra", "down");
  const mute = ports.map((port) => createServer((socket) => sockets.push(socket)).listen(port, "127.0.0.1"));
  try {
    await Promise.all(mute.map((server) => once(server, "listening")));
    const report = await doctor();
    expect(report.exitCode).toBe(1);
    const held = report.findings.filter((one) => one.code === "DOCTOR_INFRA_PORTS" && one.level === "error");
    expect(held).toHaveLength(5);
  } finally {
    for (const socket of sockets) socket.destroy();
    await Promise.all(mute.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  await h.ok(h.repo, "infra", "up");
});
