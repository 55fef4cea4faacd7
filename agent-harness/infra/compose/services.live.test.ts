import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../shared/config-schema.ts";
import { homePaths } from "../../shared/paths.ts";
import { browserContract } from "../../testing/browser-contract.ts";
import { bucketsContract } from "../../testing/buckets-contract.ts";
import { hasDocker } from "../../testing/docker.ts";
import { openHarness, type TestHarness } from "../../testing/harness.ts";
import { mailContract } from "../../testing/mail-contract.ts";
import { ownProject } from "../../testing/own-project.ts";
import { postgresContract } from "../../testing/postgres-contract.ts";
import { until } from "../../testing/until.ts";
import { resolveInfra } from "../resolve.ts";
import type { Infra } from "../services.ts";

/* The suites that the embedded services pass too (../up.live.test.ts), on containers. */

describe.skipIf(!hasDocker)("with Docker: the services in containers", () => {
  let harness: TestHarness;
  let infra: Infra;

  beforeAll(async () => {
    harness = await openHarness({ driver: "compose" });
    const { exitCode, stderr } = await harness.harness(harness.home, "infra", "up");
    expect(exitCode, stderr).toBe(0);
    infra = await resolveInfra(homePaths(harness.home), configSchema.parse({}).infra, harness.env);
  });
  afterAll(async () => await harness?.[Symbol.asyncDispose]());

  postgresContract(() => infra.postgres, { vector: true });
  bucketsContract(() => infra.s3, { versions: true, hidesBelowObjects: true });
  browserContract(() => infra.browser.url);
  testCrowd(() => infra.browser.url);

  it.runIf(process.platform === "linux")("collect the processes of the browsers that ended", async () => {
    const { nameOf, inspect } = ownProject(() => harness);
    const [browser] = await inspect(nameOf("browser"));
    const pid = browser?.State.Pid ?? 0;
    const dead = async (): Promise<number[]> => {
      const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ").map(Number);
      const states = await Promise.all(children.map((one) => readFile(`/proc/${one}/stat`, "utf8").catch(() => "")));
      return children.filter((_, at) => /\) Z /.test(states[at] ?? ""));
    };
    await until("them to be gone", async () => (await dead()).length === 0);
  });
  mailContract(() => infra.mail, ["mailpit", "maildev"]);
});

function testCrowd(get: () => string): void {
  it("let more clients than fit into the browser's memory wait for their turn", async () => {
    const print = async (): Promise<number> => {
      // Its turn may be the last.
      const browser = await chromium.connectOverCDP(get(), { timeout: 90_000 });
      try {
        const page = await browser.newPage();
        await page.setContent("<p>one of many</p>".repeat(500));
        return (await page.pdf()).length;
      } finally {
        await browser.close();
      }
    };
    for (const size of await Promise.all(Array.from({ length: 10 }, print))) expect(size).toBeGreaterThan(1000);
  });
}
