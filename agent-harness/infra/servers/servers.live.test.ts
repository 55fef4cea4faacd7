import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../shared/paths.ts";
import { listProcesses } from "../../shared/process-tree.ts";
import { until } from "../../testing/until.ts";

/* The servers as PM2 runs them: built, each in a process of its own. */

const root = packageRoot();
let home: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-servers-"));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", join(root, "scripts", "tsconfig.build.json")]);
});

afterAll(async () => {
  for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
});

type Env = Record<string, string>;

interface Server {
  name: string;
  /** Its settings on this port. */
  env(port: number): Promise<Env>;
}

const servers: Server[] = [
  {
    name: "s3",
    env: async (port) => ({ S3_PORT: `${port}`, S3_DATA: join(home, "s3"), S3_ACCESS_KEY: "a", S3_SECRET_KEY: "b" }),
  },
  { name: "browser", env: async (port) => ({ BROWSER_PORT: `${port}` }) },
  {
    name: "mail",
    env: async (port) => ({
      MAIL_WEB_PORT: `${port}`,
      MAIL_SMTP_PORT: `${await freePort()}`,
      MAIL_DATA: join(home, "mail"),
    }),
  },
];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

function run(name: string, env: Env): { child: ChildProcess; said: () => string } {
  const script = join(root, "dist", "infra", "servers", `${name}.js`);
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env["PATH"], AGENT_HARNESS_HOME: home, ...env },
  });
  children.push(child);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
  return { child, said: () => said };
}

async function start(name: string, env: Env): Promise<ChildProcess> {
  const { child, said } = run(name, env);
  await until(`${name} to listen`, () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${said()}`);
    return said().includes("listening");
  });
  return child;
}

const chromiums = async (): Promise<number> =>
  (await listProcesses()).filter((one) => one.command.includes(join(home, "browser", "profiles"))).length;

describe.each(servers)("the $name server as a process", ({ name, env }) => {
  it.each(["SIGTERM", "SIGINT"] as const)("ends on %s in time", async (signal) => {
    const child = await start(name, await env(await freePort()));
    const asked = performance.now();
    child.kill(signal);
    await once(child, "exit");
    expect(child.exitCode).toBe(0);
    expect(performance.now() - asked).toBeLessThan(1500);
  });

  it("says in one line that its port is taken", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await once(blocker, "listening");
    const address = blocker.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { child, said } = run(name, await env(port));
    await once(child, "close");
    blocker.close();
    expect(child.exitCode).toBe(1);
    expect(said()).toBe(`${name}: Port ${port} of 127.0.0.1 is in use.\n`);
  });

  it("says in one line which setting is missing", async () => {
    const { child, said } = run(name, {});
    await once(child, "close");
    expect(child.exitCode).toBe(1);
    expect(said()).toMatch(/^\w+: [A-Z0-9_]+ is not set\. [^\n]*\n$/);
  });
});

describe("the browser server as a process", () => {
  it.each(["SIGTERM", "SIGKILL"] as const)("takes its browsers with it on %s", async (signal) => {
    const port = await freePort();
    const child = await start("browser", { BROWSER_PORT: `${port}` });
    const browser = await chromium.connectOverCDP(`ws://127.0.0.1:${port}`);
    await browser.newPage();
    expect(await chromiums()).toBeGreaterThan(0);
    child.kill(signal);
    await once(child, "exit");
    await until("every Chromium to end", async () => (await chromiums()) === 0, 5000);
    await browser.close();
    const again = await start("browser", { BROWSER_PORT: `${port}` });
    const profiles = await readdir(join(home, "browser")).catch(() => []);
    expect(profiles).not.toContain("profiles");
    again.kill("SIGTERM");
    await once(again, "exit");
  });
});
