import { rm } from "node:fs/promises";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuckets } from "./infra/index.ts";
import { hasDocker } from "./testing/docker.ts";
import { api, getJson, getPdf, picture, sign, signWithPicture } from "./testing/guestbook.ts";
import { copyGuestbook, openHarness, type TestHarness } from "./testing/harness.ts";
import { until } from "./testing/until.ts";

const id = 43;

describe.skipIf(!hasDocker)("with Docker: the guestbook on containers", () => {
  let harness: TestHarness;
  let folder: string;

  const ask = async (...argv: string[]) => {
    const { exitCode, stdout, stderr } = await harness.agent(folder, String(id), ...argv, "--json");
    expect(exitCode, stderr).toBe(0);
    return JSON.parse(stdout);
  };

  beforeAll(async () => {
    [harness, folder] = await Promise.all([openHarness({ driver: "compose" }), copyGuestbook()]);
    const { exitCode, stderr } = await harness.harness(folder, "launch", String(id));
    expect(exitCode, stderr).toBe(0);
  });
  afterAll(async () => {
    await harness?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test("an entry lies in the container's database and sends a mail that is read back", async () => {
    expect(await getJson(api(id, "connection"))).toEqual({ database: `agent_${id}`, matches: true });
    await sign(id, "Mary");
    const { stdout } = await harness.agent(folder, String(id), "psql", "select name from entries where name = 'Mary'");
    expect(stdout).toBe("name\nMary\n");
    const [mail] = await until("the mail of the entry", async () => {
      const found = (await ask("mail")) as { id: string; from: string }[];
      return found.length > 0 && found;
    });
    expect(mail?.from).toBe(`agent-${id}@agent-harness.test`);
    expect((await ask("mail", mail?.id ?? "")).text).toContain("Greetings of Mary");
  });

  test("a picture lies in the stack's bucket", async () => {
    expect(await signWithPicture(id, "Nadia")).toEqual(picture);
    const { S3_ENDPOINT: url, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey } = await ask("env");
    const buckets = openBuckets({ url, accessKey, secretKey, region: "us-east-1" });
    expect(await buckets.list()).toEqual(expect.arrayContaining(["default", "results", `agent-${id}`]));
  });

  test("the container's browser prints the guestbook, and opens the front end by its own URL", async () => {
    expect((await getPdf(id)).length).toBeGreaterThan(1000);
    const browser = await chromium.connectOverCDP(`ws://127.0.0.1:${harness.env["AGENT_BROWSER_PORT"]}`);
    try {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${3000 + id * 10}/`);
      await page.getByRole("heading", { name: "Mary" }).waitFor();
      expect(await page.textContent("#database")).toContain(`agent_${id}`);
    } finally {
      await browser.close();
    }
  });

  test("teardown takes it all away", async () => {
    const { exitCode, stderr } = await harness.harness(folder, "teardown", String(id));
    expect(exitCode, stderr).toBe(0);
    await expect(fetch(api(id, "health"))).rejects.toThrow();
  });
});
