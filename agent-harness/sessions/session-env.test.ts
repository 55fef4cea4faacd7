import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import { claudeCode } from "./providers/claude-code.ts";
import { codex } from "./providers/codex.ts";
import { pi } from "./providers/pi.ts";
import type { PlaceOptions } from "./session-env.ts";
import { requireStack, sessionPlace } from "./session-env.ts";
import { readSettings } from "./settings.ts";

let paths: HomePaths;
beforeEach(async () => {
  paths = homePaths(await mkdtemp(join(tmpdir(), "ah-env-")));
});
afterEach(async () => await rm(paths.home, { recursive: true }));

const fakePi = fakeProvider("pi");
const providers = [fakePi, fakeProvider("codex")];
const env = {
  PATH: "/bin",
  HOME: "/home/me",
  TERM: "xterm",
  FAKE_PI_KEY: "mine",
  FAKE_CODEX_KEY: "theirs",
  XDG_CONFIG_HOME: "/home/me/.config",
  HARNESS_BEARER_TOKEN: "secret",
  TMUX: "/tmp/tmux",
  PM2_PROGRAMMATIC: "true",
  NODE_OPTIONS: "--inspect",
};

const place = async (change: Partial<PlaceOptions> = {}) =>
  await sessionPlace({
    paths,
    settings: await readSettings(paths, {}),
    env,
    provider: fakePi,
    providers,
    cwd: "/work",
    ...change,
  });

test("without more, a program sees our environment, but nothing that is for us", async () => {
  const { PATH, HOME, TERM, FAKE_PI_KEY, FAKE_CODEX_KEY, XDG_CONFIG_HOME } = env;
  expect(await place()).toEqual({
    cwd: "/work",
    env: { PATH, HOME, TERM, FAKE_PI_KEY, FAKE_CODEX_KEY, XDG_CONFIG_HOME, AGENT_HARNESS_HOME: paths.home },
  });
});

test("pm2 in a session is the person's, never the one that runs our services", async () => {
  const own = await place({ env: { ...env, PM2_HOME: join(paths.home, "pm2") } });
  expect(own.env).not.toHaveProperty("PM2_HOME");
  expect((await place({ env: { ...env, PM2_HOME: "/home/me/.pm2" } })).env).toMatchObject({
    PM2_HOME: "/home/me/.pm2",
  });
});

test("a credential profile has a private home and no other credentials", async () => {
  await writeFile(
    join(paths.home, "sessions.json"),
    JSON.stringify({
      subscriptions: { work: { provider: "pi", env: { FAKE_PI_KEY: "of work" } }, other: { provider: "codex" } },
    }),
    { mode: 0o600 },
  );
  const home = join(paths.home, "profiles", "work");
  expect((await place({ subscription: "work" })).env).toEqual({
    PATH: "/bin",
    TERM: "xterm",
    HOME: home,
    AGENT_HARNESS_HOME: paths.home,
    FAKE_PI_KEY: "of work",
  });
  expect((await stat(home)).mode & 0o777).toBe(0o700);
  await expect(place({ subscription: "other" })).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: 'The credential profile of codex is no use to pi: "other".',
    hint: "Name one of pi: work.",
  });
  await expect(place({ subscription: "none" })).rejects.toMatchObject({
    message: 'There is no credential profile "none".',
  });
});

test("a credential profile's key goes to no other gateway than the profile names", async () => {
  const work = { provider: "claude-code", env: { ANTHROPIC_API_KEY: "of work", OPENAI_BASE_URL: "https://work" } };
  await writeFile(join(paths.home, "sessions.json"), JSON.stringify({ subscriptions: { work } }), { mode: 0o600 });
  const routing = {
    ANTHROPIC_BASE_URL: "https://elsewhere",
    ANTHROPIC_CUSTOM_HEADERS: "x-key: mine",
    ANTHROPIC_AUTH_TOKEN: "mine",
    ANTHROPIC_FOUNDRY_RESOURCE: "elsewhere",
    CLAUDE_CODE_API_BASE_URL: "https://elsewhere",
    OPENAI_BASE_URL: "https://elsewhere",
    OPENAI_ORG_ID: "mine",
    AZURE_OPENAI_ENDPOINT: "https://elsewhere",
    CODEX_ACCESS_TOKEN: "mine",
    OPENROUTER_BASE_URL: "https://elsewhere",
  };
  const kept = { ANTHROPIC_MODEL: "opus", APP_BASE_URL: "http://127.0.0.1:1", AWS_ENDPOINT_URL: "http://127.0.0.1:2" };
  const change = { env: { ...env, ...routing, ...kept }, provider: claudeCode, subscription: "work" };
  expect((await place({ ...change, providers: [claudeCode, codex, pi, fakePi] })).env).toEqual({
    PATH: "/bin",
    TERM: "xterm",
    HOME: join(paths.home, "profiles", "work"),
    AGENT_HARNESS_HOME: paths.home,
    FAKE_CODEX_KEY: "theirs",
    ...kept,
    ...work.env,
  });
});

test("a stack gives its directory, its variables and its instructions; one that is not ready gives nothing", async () => {
  const workdir = join(paths.home, "tree");
  await mkdir(join(paths.stacks, "3"), { recursive: true });
  await mkdir(workdir);
  await writeFile(join(workdir, ".env.agent.3"), "PGDATABASE=agent_3\n");
  await writeFile(join(workdir, "CLAUDE.agent.3.md"), "You are agent 3.\n");
  const ledger = (status: string) => ({
    version: 1,
    id: 3,
    project: "p",
    repository: workdir,
    workdir,
    configPath: join(workdir, "agent-harness.yml"),
    status,
    createdAt: "2026-01-01T00:00:00Z",
    updatedAt: "2026-01-01T00:00:00Z",
    ports: {},
    urls: {},
    resources: [],
    processes: [],
  });
  const write = (status: string) => writeFile(join(paths.stacks, "3", "ledger.json"), JSON.stringify(ledger(status)));
  await write("ready");
  const found = await place({ stack: 3 });
  expect(found).toMatchObject({
    cwd: workdir,
    instructions: "You are agent 3.\n",
    env: { PGDATABASE: "agent_3", FAKE_PI_KEY: "mine", AGENT_HARNESS_HOME: paths.home },
  });
  expect(found.env["HARNESS_BEARER_TOKEN"]).toBeUndefined();
  await write("stopped");
  await expect(place({ stack: 3 })).rejects.toMatchObject({
    code: "STACK_NOT_LAUNCHED",
    message: "The stack of agent 3 is stopped.",
  });
  await expect(place({ stack: 4 })).rejects.toMatchObject({ hint: "Run: agent-harness launch 4" });
  // What runs there already may be told more, but for a stack that is gone or another by now.
  const told = (at: string, stack = 3) => requireStack(paths, { id: "s", stack, cwd: at });
  await told(workdir);
  await expect(told("/elsewhere")).rejects.toMatchObject({
    code: "STACK_NOT_LAUNCHED",
    message: `The stack of agent 3, on which the session s was started in /elsewhere, runs elsewhere by now: in ${workdir}.`,
  });
  await write("tearing-down");
  await expect(told(workdir)).rejects.toThrow("is being torn down.");
  await expect(told(workdir, 4)).rejects.toThrow("is gone.");
});
