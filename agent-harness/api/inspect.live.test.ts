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

async function open(viewport = { width: 1200, height: 800 }) {
  const api = await openTestApi();
  const page = await browser.newPage({ viewport });
  onTestFinished(() => page.close());
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(`${api.api.url}/inspect`);
  const { sessions, events } = api;
  await sessions.createProject({ name: "shop", cwd: "/work/shop" });
  /** Makes an agent, as the rest of the program does: with an event. */
  const start = async (id: string, project = "shop"): Promise<void> => {
    await sessions.create(project, { provider: "codex", task: "t", name: id });
    await events.append([{ type: "agent_started", project, agentId: id, data: {} }]);
  };
  /** Changes an agent and says so. */
  const change = async (id: string, to: Parameters<typeof sessions.change>[1], project = "shop"): Promise<void> => {
    sessions.change(id, to);
    await events.append([{ type: "status_changed", project, agentId: id, data: {} }]);
  };
  const told = (what: string) => sessions.calls.filter(([name]) => name === what).map((call) => call.slice(1));
  return { ...api, page, errors, start, change, told };
}

async function signIn(page: Page, token: string): Promise<void> {
  await page.fill("#token", token);
  await page.click("#sign-in button");
}

const row = (id: string): string => `#agents button:has(b:text-is("${id}"))`;

/** The agents of the list from the top. */
const listed = (page: Page): Promise<string[]> => page.locator("#agents button b").allTextContents();

const focused = (page: Page): Promise<string> => page.evaluate<string>("document.activeElement.textContent");

const permission = {
  id: "p1",
  kind: "permission" as const,
  title: "rm -rf build",
  options: [
    { id: "allow", label: "Allow" },
    { id: "deny", label: "Deny" },
  ],
  input: { command: "rm" },
};
const option = (id: string, description?: string) => ({
  id,
  label: id,
  ...(description === undefined ? {} : { description }),
});
const base = { freeText: true, required: true };
const questions = [
  {
    ...base,
    id: "1",
    header: "Colour",
    question: "Which colour?",
    options: [option("Red", "as the logo"), option("Blue")],
    multiSelect: false,
  },
  {
    ...base,
    id: "2",
    header: "Parts",
    question: "Which parts?",
    options: [option("Login"), option("Search"), option("Export")],
    multiSelect: true,
  },
  { ...base, id: "why", question: "Why?", options: [], multiSelect: false, required: false },
];
const question = {
  id: "q1",
  kind: "question" as const,
  title: "Which colour? / Which parts? / Why?",
  options: [],
  questions,
  input: {},
};

test("a person signs in, sees what an agent says and asks, answers it, and follows its events", async () => {
  const { page, sessions, events, errors, start, change, told } = await open();
  await start("my-agent");
  const evil = "<img src=x onerror=alert(1)>";
  sessions.say("my-agent", { id: "m", at: Date.now(), role: "assistant", text: evil, finishReason: null });
  sessions.change("my-agent", { status: "waiting_input", pending: { ...permission, title: evil } });

  expect(await page.textContent("#where")).toMatch(/HARNESS_BEARER_TOKEN.*agent-harness serve prints its path/s);
  await signIn(page, testToken);
  await page.click(row("my-agent"));
  await page.waitForSelector("#pending form");
  expect(await page.textContent("#messages p")).toBe(evil);
  expect(await page.getAttribute("#messages time", "datetime")).toMatch(/^\d{4}-/);
  expect(await page.textContent("#facts")).toMatch(/codex, tmux · shop · \/work\/shop · created .*1970/);
  expect(await page.textContent("#attach")).toBe("tmux attach -t my-agent");
  expect(await page.textContent("#pending strong")).toBe(evil);
  await page.click("#pending button:text-is('Allow')");
  await until("it is answered", () => told("respond").length === 1);
  expect(told("respond")).toEqual([["shop", "my-agent", "p1", { decision: "allow" }]]);

  await change("my-agent", { status: "idle", pending: undefined } as object);
  await events.append([{ type: "output", project: "shop", agentId: "my-agent", data: { text: "a\u2028b" } }]);
  await page.waitForSelector("#status:text-is('idle')");
  await page.waitForSelector("#pending", { state: "hidden" });
  await page.waitForSelector("#events li >> nth=2");
  const shown = await page.locator("#events li b").allTextContents();
  expect(shown).toEqual(["agent_started", "status_changed", "output"]);
  await page.fill("#text", "Go on.");
  await page.click("#say button[type=submit]");
  await until("it was told", () => told("input").length === 1);
  await page.click("#abort");
  await until("it was aborted", () => told("abort").length === 1);
  expect(errors).toEqual([]);
}, 60_000);

test("several questions are answered at once, each under its own key", async () => {
  const { page, errors, start, change, events, told } = await open();
  await start("asker");
  await change("asker", { status: "waiting_input", pending: question });
  await signIn(page, testToken);
  await page.click(row("asker"));
  const legends = await page.locator("#pending legend").allTextContents();
  expect(legends).toEqual(["Colour: Which colour?", "Parts: Which parts?", "Why? (may be left out)"]);
  await page.check("#pending label:has-text('Red') input");
  await page.check("#pending label:has-text('Login') input");
  await page.check("#pending label:has-text('Export') input");
  // What else happens takes nothing of it away.
  await events.append([{ type: "output", project: "shop", agentId: "asker", data: { text: "more" } }]);
  await page.waitForSelector("#events li >> nth=2");
  await page.click("#pending button:text-is('Answer')");
  await until("it is answered", () => told("respond").length === 1);
  expect(told("respond")[0]?.[3]).toEqual({ answers: { "1": "Red", "2": ["Login", "Export"] } });

  await page.fill("#pending fieldset >> nth=0 >> label:has-text('own words') input", "Green");
  expect(await page.isChecked("#pending label:has-text('Red') input")).toBe(false);
  await page.fill("#pending fieldset >> nth=2 >> input", "So.");
  await page.click("#pending button:text-is('Answer')");
  await until("it is answered again", () => told("respond").length === 2);
  expect(told("respond")[1]?.[3]).toEqual({ answers: { "1": "Green", "2": ["Login", "Export"], why: "So." } });
  expect(errors).toEqual([]);
}, 60_000);

test("a permission is refused with a message, or allowed for good where that is offered", async () => {
  const { page, start, change, told } = await open();
  await start("asker");
  await change("asker", { status: "waiting_input", pending: permission });
  await signIn(page, testToken);
  await page.click(row("asker"));
  await page.waitForSelector("#pending button:text-is('Deny')");
  expect(await page.locator("#pending button").allTextContents()).toEqual(["Allow", "Deny"]);
  await page.fill("#pending input", "Use the trash.");
  await page.click("#pending button:text-is('Deny')");
  await until("it is refused", () => told("respond").length === 1);
  expect(told("respond")[0]?.[3]).toEqual({ decision: "deny", message: "Use the trash." });
  const options = [...permission.options, { id: "allow_always", label: "Allow for this session" }];
  await change("asker", { status: "waiting_input", pending: { ...permission, id: "p2", options } });
  await page.click("#pending button:text-is('Allow for this session')");
  await until("it is allowed", () => told("respond").length === 2);
  expect(told("respond")[1]?.slice(2)).toEqual(["p2", { decision: "allow_always" }]);
}, 60_000);

test("a new agent and one that asks are there at once, those that ask on top, in every project", async () => {
  const { page, sessions, errors, start, change } = await open();
  await start("first");
  await signIn(page, testToken);
  await page.waitForSelector(row("first"));
  await sessions.createProject({ name: "other", cwd: "/work/other" });
  await start("second", "other");
  await page.waitForSelector(row("second"));
  expect(await listed(page)).toEqual(["first", "second"]);
  await change("second", { status: "waiting_input", pending: permission }, "other");
  await page.waitForSelector(`${row("second")} span.waiting_input`);
  expect(await listed(page)).toEqual(["second", "first"]);
  expect(await page.textContent(row("second"))).toContain("rm -rf build");
  expect(await page.title()).toBe("(1) agent-harness: agents");
  await sessions.delete("other", "second");
  await sessions.deleteProject("other");
  await change("first", { status: "error" });
  await page.waitForSelector(row("second"), { state: "detached" });
  expect(await listed(page)).toEqual(["first"]);
  expect(errors).toEqual([]);
}, 60_000);

test("the keyboard stays where it was, and the list too, whatever changes", async () => {
  const { page, start, change } = await open({ width: 1000, height: 400 });
  const all = Array.from({ length: 30 }, (_, at) => `agent-${String(at).padStart(2, "0")}`);
  for (const id of all) await start(id);
  await signIn(page, testToken);
  await page.focus(row("agent-20"));
  const scrolled = await page.evaluate<number>("document.querySelector('nav').scrollTop");
  expect(scrolled).toBeGreaterThan(0);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#title:text-is('agent-20')");
  await page.waitForSelector(`${row("agent-20")}[aria-current=true]`);
  expect(await focused(page)).toContain("agent-20");
  await change("agent-03", { status: "error" });
  await page.waitForSelector(`${row("agent-03")} span.error`);
  expect(await focused(page)).toContain("agent-20");
  expect(await page.evaluate<number>("document.querySelector('nav').scrollTop")).toBe(scrolled);
  await page.keyboard.press("Shift+Tab");
  expect(await focused(page)).toContain("agent-19");
  // Also when its own place is another one.
  await change("agent-19", { status: "waiting_input", pending: permission });
  await page.waitForSelector(`${row("agent-19")} span.waiting_input`);
  expect((await listed(page))[0]).toBe("agent-19");
  expect(await focused(page)).toContain("agent-19");
}, 60_000);

test("on a narrow screen the agent is below the list and as wide as the screen", async () => {
  const { page, start, change } = await open({ width: 390, height: 844 });
  await start("asker");
  await change("asker", { status: "waiting_input", pending: question });
  await signIn(page, testToken);
  await page.click(row("asker"));
  await page.waitForSelector("#pending form");
  const box = await page.locator("#agent").boundingBox();
  const list = await page.locator("nav").boundingBox();
  expect(box?.width).toBeGreaterThan(380);
  expect(box?.y).toBeGreaterThanOrEqual((list?.y ?? 0) + (list?.height ?? 0));
  expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(390);
}, 60_000);

test("an agent is deleted after a confirmation; one that somebody else deleted is said to be gone", async () => {
  const { page, sessions, start, change, told } = await open();
  await start("one");
  await start("two");
  await signIn(page, testToken);
  await page.click(row("one"));
  await page.waitForSelector("#title:text-is('one')");
  page.once("dialog", (dialog) => void dialog.dismiss());
  await page.click("#delete");
  expect(told("delete")).toEqual([]);
  const asked = new Promise<string>((resolve) =>
    page.once("dialog", (dialog) => {
      resolve(dialog.message());
      void dialog.accept();
    }),
  );
  await page.click("#delete");
  expect(await asked).toContain("Delete one?");
  await page.waitForSelector(row("one"), { state: "detached" });
  expect(await page.isHidden("#agent")).toBe(true);
  await page.click(row("two"));
  await page.waitForSelector("#title:text-is('two')");
  await change("two", { status: "processing" });
  await sessions.delete("shop", "two");
  await change("two", { status: "exited" });
  await page.waitForSelector("#notice:text-is('two is gone.')");
}, 60_000);

test("a wrong token is told, and a reload goes on with the right one and the agent that was open", async () => {
  const { page, start, api } = await open();
  await start("one");
  await signIn(page, "wrong");
  await page.waitForSelector("#notice:has-text('UNAUTHORIZED')");
  expect(await page.isVisible("#sign-in")).toBe(true);
  await signIn(page, testToken);
  await page.click(row("one"));
  await page.waitForSelector("#title:text-is('one')");
  expect(await page.isHidden("#notice")).toBe(true);
  expect(await page.isHidden("#sign-in")).toBe(true);
  await page.reload();
  await page.waitForSelector("#title:text-is('one')");
  await page.click("#sign-out");
  expect(await page.isVisible("#sign-in")).toBe(true);
  expect(await page.isHidden("main")).toBe(true);
  await page.goto(`${api.url}/`);
  await page.click("a[href='/inspect']");
  await page.waitForSelector("#sign-in");
}, 60_000);
