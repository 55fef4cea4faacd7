import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { findChromium } from "../infra/embedded/chromium.ts";
import { openTestApi, testToken } from "../testing/api.ts";
import { until } from "../testing/until.ts";

/* The page for people in a real browser. */

let browser: Browser;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-page-"));
  const { path, args, env } = await findChromium({ folder });
  browser = await chromium.launch({
    executablePath: path,
    args,
    env: { ...process.env, ...env } as Record<string, string>,
  });
});
afterAll(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

async function open() {
  const api = await openTestApi();
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(`${api.api.url}/inspect`);
  return { ...api, page, errors };
}

async function signIn(page: Page, token: string): Promise<void> {
  await page.fill("#token", token);
  await page.click("#sign-in button");
}

test("a person signs in, sees what an agent says and asks, answers it, and follows its events", async () => {
  const { page, sessions, events, errors } = await open();
  await sessions.createProject({ name: "shop", cwd: "/work/shop" });
  await sessions.create("shop", { provider: "codex", task: "t", name: "my-agent" });
  const evil = "<img src=x onerror=alert(1)>";
  sessions.say("my-agent", { id: "m", at: 1, role: "assistant", text: evil, finishReason: null });
  const options = [{ id: "allow", label: "Allow" }];
  const pending = { id: "p1", kind: "permission" as const, title: "rm -rf build", options, input: { command: "rm" } };
  sessions.change("my-agent", { status: "waiting_input", pending });

  await signIn(page, testToken);
  await page.click("text=my-agent: waiting_input");
  expect(await page.textContent("#messages")).toBe(`assistant: ${evil}`);
  expect(await page.textContent("#attach")).toBe("tmux attach -t my-agent");
  expect(await page.textContent("#pending strong")).toBe("rm -rf build");
  await page.click("#pending button:text('allow')");
  const answered = await until("it is answered", () => sessions.calls.find(([what]) => what === "respond"));
  expect(answered).toEqual(["respond", "shop", "my-agent", "p1", { decision: "allow" }]);

  sessions.change("my-agent", { status: "idle" });
  await events.append([
    { type: "status_changed", project: "shop", agentId: "my-agent", data: { to: "idle", text: "a\u2028b" } },
  ]);
  await page.waitForSelector("text=my-agent: idle");
  expect(await page.textContent("#events li")).toContain("evt-1 status_changed");
  await page.fill("#text", "Go on.");
  await page.click("#say button[type=submit]");
  await until("it was told", () => sessions.calls.some((call) => call.includes("Go on.")));
  await page.click("#abort");
  await until("it was aborted", () => sessions.calls.some(([what]) => what === "abort"));
  expect(errors).toEqual([]);
}, 60_000);

test("a wrong token is told", async () => {
  const { page } = await open();
  await signIn(page, "wrong");
  await page.waitForSelector("#notice:has-text('UNAUTHORIZED')");
}, 60_000);
