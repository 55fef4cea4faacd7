import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuckets } from "./infra/index.ts";
import { packageRoot } from "./shared/paths.ts";
import { listProcesses, treeOf } from "./shared/process-tree.ts";
import { api, getJson, getPdf, picture, sign, signWithPicture } from "./testing/guestbook.ts";
import { copyGuestbook, openHarness, type TestHarness } from "./testing/harness.ts";
import { listenersOf } from "./testing/listening.ts";
import { until } from "./testing/until.ts";

/* The guestbook as a user has it: two agents on one machine. Tests named D… hold a defect of the seed's shell scripts down. */

const [one, two] = [31, 32];
let harness: TestHarness;
let folder: string;

beforeAll(async () => {
  harness = await openHarness();
  folder = await copyGuestbook();
  const launched = await Promise.all([one, two].map((id) => harness.harness(folder, "launch", String(id), "--json")));
  for (const { exitCode, stderr } of launched) expect(exitCode, stderr).toBe(0);
}, 180_000);

afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("two agents", () => {
  test("D1, D2: the encrypted row is each clone's own, readable with its own secret", async () => {
    for (const id of [one, two]) {
      expect(await getJson(api(id, "connection"))).toEqual({ database: `agent_${id}`, matches: true });
    }
  });

  test("D5: the front end of each talks to its own API", async () => {
    for (const id of [one, two]) {
      const health = await getJson(`http://localhost:${3000 + id * 10}/api/v1/health`);
      expect(health["database"]).toBe(`agent_${id}`);
    }
  });

  test("an entry, its mail and its PDF belong to the one that made it", async () => {
    await sign(one, "Mary");
    const { stdout: theirs } = await harness.agent(
      folder,
      String(two),
      "psql",
      "select count(*) from entries where name = 'Mary'",
    );
    expect(theirs).toBe("count\n0\n");
    const mails = await until("the mail of the entry", async () => {
      const { stdout } = await harness.agent(folder, String(one), "mail", "--json");
      const found = JSON.parse(stdout) as { subject: string; from: string }[];
      return found.length > 0 && found;
    });
    expect(mails[0]?.from).toBe(`agent-${one}@agent-harness.test`);
    expect(JSON.parse((await harness.agent(folder, String(two), "mail", "--json")).stdout)).toEqual([]);
    expect((await getPdf(one)).length).toBeGreaterThan(1000);
  });

  test("D6: a picture goes into the agent's own bucket and comes back", async () => {
    expect(await signWithPicture(two, "Nadia")).toEqual(picture);
    const { S3_ENDPOINT: url = "", S3_ACCESS_KEY: accessKey = "", S3_SECRET_KEY: secretKey = "" } = await envOf(two);
    expect(await openBuckets({ url, accessKey, secretKey, region: "us-east-1" }).list()).toEqual(
      expect.arrayContaining(["default", "results", `agent-${one}`, `agent-${two}`]),
    );
  });

  test("D8, D9: mail and ports are in the env file, and the seed's external services are off", async () => {
    expect(await envOf(one)).toMatchObject({
      FE_PORT: String(3000 + one * 10),
      PORT: String(8000 + one * 10),
      SITE_URL: `http://localhost:${3000 + one * 10}`,
      EMAIL_SMTP_SENDER_EMAIL: `agent-${one}@agent-harness.test`,
      EMAIL_SMTP_PORT: harness.env["AGENT_MAILPIT_SMTP_PORT"],
      RUDDERSTACK_ANALYTICS_DISABLED: "true",
      SCHEDULER_ENABLED: "false",
    });
  });

  test.runIf(process.platform === "linux")("D11: nothing of a stack listens to other machines", async () => {
    const { stdout } = await harness.agent(folder, String(one), "status", "--json");
    const { processes } = JSON.parse(stdout) as { processes: { pid: number }[] };
    const all = await listProcesses();
    const pids = processes.flatMap(({ pid }) => treeOf(pid, all)).map(({ pid }) => pid);
    const found = await listenersOf(pids);
    expect(found.map(({ port }) => port)).toEqual(
      expect.arrayContaining([3000 + one * 10, 8000 + one * 10, 9200 + one * 10]),
    );
    expect(found.filter(({ loopback }) => !loopback)).toEqual([]);
  });

  test("D13: logs end by themselves, stats are a table and not a full screen", async () => {
    const logs = await harness.agent(folder, String(one), "logs", "common");
    expect(logs).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("common-watch") });
    const stats = await harness.agent(folder, String(one), "stats", "--json");
    const all = JSON.parse(stats.stdout) as { process: string; count: number; memoryBytes: number }[];
    // The watcher is a wrapper around the real program: the whole tree is counted.
    expect(all.find(({ process }) => process === "common-watch")?.count).toBeGreaterThan(1);
    expect(all.find(({ process }) => process === "api")?.memoryBytes).toBeGreaterThan(10_000_000);
  });

  test("D15: slow-queries shows this stack's database and no other", async () => {
    await harness.agent(folder, String(one), "psql", "select pg_sleep(0.05), 'only here' as marker");
    const query = async (id: number) =>
      JSON.parse((await harness.agent(folder, String(id), "slow-queries", "--json")).stdout) as {
        query: string;
        meanMs: number;
      }[];
    expect((await query(one)).map(({ query: text }) => text)).toContainEqual(expect.stringContaining("pg_sleep"));
    expect((await query(two)).filter(({ query: text }) => text.includes("pg_sleep"))).toEqual([]);
  });

  test("the page works in a real browser", async () => {
    const browser = await chromium.connectOverCDP(`ws://127.0.0.1:${harness.env["AGENT_BROWSER_PORT"]}`);
    try {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${3000 + two * 10}/`);
      await page.fill("#name", "Grete");
      await page.fill("#message", "I was here, in a real browser.");
      await page.click("button");
      await page.getByRole("heading", { name: "Grete" }).waitFor();
      expect(await page.textContent("#database")).toContain(`agent_${two}`);
      const pictures = join(packageRoot(), "test-results");
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, "guestbook.png"), fullPage: true });
    } finally {
      await browser.close();
    }
  });

  test("the scheduler runs when it is asked for, and does the work", async () => {
    const launched = await harness.harness(folder, "launch", "33", "--env", "SCHEDULER_ENABLED=true");
    expect(launched.exitCode, launched.stderr).toBe(0);
    await getJson("http://localhost:8331/api/v1/health");
    await sign(33, "Katherine");
    await until("the worker's mail", async () => {
      const { stdout } = await harness.agent(folder, "33", "mail", "--json");
      return (JSON.parse(stdout) as unknown[]).length > 0;
    });
    expect((await harness.harness(folder, "teardown", "33")).exitCode).toBe(0);
  });
});

async function envOf(id: number): Promise<Record<string, string>> {
  return JSON.parse((await harness.agent(folder, String(id), "env", "--json")).stdout) as Record<string, string>;
}

interface Verdict {
  status: string;
  stages: { name: string; status: string; duration_ms: number; first_error?: string; cached?: boolean }[];
  total_duration_ms: number;
}

describe("verify", () => {
  const run = async (...argv: string[]) => {
    const { exitCode, stdout, stderr } = await harness.verify(folder, ...argv);
    return { exitCode, stderr, verdict: JSON.parse(stdout) as Verdict };
  };

  const withFile = async (path: string, text: string, work: () => Promise<void>): Promise<void> => {
    await writeFile(join(folder, path), text);
    try {
      await work();
    } finally {
      await rm(join(folder, path));
    }
  };

  test("D12: the whole pipeline is green, by AGENT_ID, in the stack's own folder", async () => {
    harness.env["AGENT_ID"] = String(one);
    try {
      const { exitCode, verdict, stderr } = await run("--full", "--no-cache");
      expect(stderr).toContain(folder);
      expect(verdict, stderr).toMatchObject({ status: "pass", total_duration_ms: expect.any(Number) });
      expect(verdict.stages.map(({ name }) => name)).toEqual(["typecheck", "lint", "test-unit", "test-full", "smoke"]);
      expect(exitCode).toBe(0);
    } finally {
      delete harness.env["AGENT_ID"];
    }
  });

  test("a second look at the same tree is cached, and says so", async () => {
    await run(String(one), "--stage", "typecheck");
    const { verdict } = await run(String(one), "--stage", "typecheck");
    expect(verdict.stages).toEqual([expect.objectContaining({ name: "typecheck", status: "pass", cached: true })]);
  });

  test("D4: a type error full of quotes is one parsed line, and ends it early", async () => {
    const text = 'export const wrong: "it\'s" | `b"c` = \'no "such" $thing\';\n';
    await withFile("packages/backend/src/wrong.ts", text, async () => {
      const { exitCode, verdict } = await run(String(one), "--full");
      expect(exitCode).toBe(1);
      expect(verdict.stages).toHaveLength(1);
      expect(verdict.stages[0]).toMatchObject({ name: "typecheck", status: "fail" });
      expect(verdict.stages[0]?.first_error).toMatch(/^packages\/backend\/src\/wrong\.ts:1 TS2322: .*"it's"/);
    });
  });

  test("a lint error and a failing test are found in their files", async () => {
    await withFile(
      "packages/frontend/src/wrong.ts",
      'var it = "it\'s `quoted`";\nexport const a = it == "b";\n',
      async () => {
        const { verdict } = await run(String(one), "--stage", "lint");
        expect(verdict.stages[0]?.first_error).toMatch(/^packages\/frontend\/src\/wrong\.ts:\d+ /);
      },
    );
    const failing =
      'import { expect, test } from "vitest";\ntest("it\'s \\"red\\"", () => {\n  expect("a \'b\'").toBe(\'c "d" `e` $f\');\n});\n';
    await withFile("packages/frontend/src/wrong.test.ts", failing, async () => {
      const { verdict } = await run(String(one), "--stage", "test-unit");
      expect(verdict.stages[0]?.first_error).toMatch(
        /^packages\/frontend\/src\/wrong\.test\.ts:3 AssertionError: .*"d" `e` \$f/,
      );
    });
  });
});

test("D10: teardown of one disturbs no request of the other, and loses no work", async () => {
  const answers: number[] = [];
  const load = new AbortController();
  const running = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!load.signal.aborted) answers.push(await fetch(api(two, "entries")).then((one) => one.status));
    }),
  );
  await until("the load runs", () => answers.length > 20);
  const before = answers.length;
  await writeFile(join(folder, "uncommitted.txt"), "work of hours\n");
  const branches = await git("branch", "--all");
  const { exitCode, stderr } = await harness.harness(folder, "teardown", String(one));
  expect(exitCode, stderr).toBe(0);
  await until("the load went on", () => answers.length > before + 20);
  load.abort();
  await running;
  expect(answers.filter((status) => status !== 200)).toEqual([]);
  await expect(fetch(api(one, "health"))).rejects.toThrow();
  expect(await readFile(join(folder, `.env.agent.${two}`), "utf8")).toContain(`agent_${two}`);
  await expect(readFile(join(folder, `.env.agent.${one}`), "utf8")).rejects.toThrow("ENOENT");
  expect(await readFile(join(folder, "uncommitted.txt"), "utf8")).toBe("work of hours\n");
  expect(await git("branch", "--all")).toBe(branches);
  // Nothing of the harness counts as work, before or after.
  expect(await git("status", "--porcelain")).toBe("?? uncommitted.txt\n");
});

async function git(...args: string[]): Promise<string> {
  return (await promisify(execFile)("git", ["-C", folder, ...args])).stdout;
}
