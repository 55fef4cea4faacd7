import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { providerSettingsOf, readSettings } from "./settings.ts";
import { subscriptionsOf } from "./subscriptions.ts";

let paths: HomePaths;
beforeEach(async () => {
  paths = homePaths(await mkdtemp(join(tmpdir(), "ah-settings-")));
});
afterEach(async () => await rm(paths.home, { recursive: true }));

const write = (value: unknown): Promise<void> =>
  writeFile(join(paths.home, "sessions.json"), typeof value === "string" ? value : JSON.stringify(value), {
    mode: 0o600,
  });

test("without a file everything has a default", async () => {
  const settings = await readSettings(paths, {});
  expect(settings).toMatchObject({ runIn: "tmux", permissions: "ask", limits: { noOutputMs: 900_000, graceMs: 3000 } });
  expect(providerSettingsOf(settings, "codex")).toEqual({ extraArgs: [], enabled: true });
});

test("a variable wins over the file, the file over the default", async () => {
  await write({ runIn: "headless", limits: { spawnMs: 5, idleMs: 6 }, providers: { pi: { enabled: false } } });
  const settings = await readSettings(paths, { HARNESS_SPAWN_MS: "7", HARNESS_PERMISSIONS: "all" });
  expect(settings).toMatchObject({ runIn: "headless", permissions: "all", limits: { spawnMs: 7, idleMs: 6 } });
  expect(providerSettingsOf(settings, "pi").enabled).toBe(false);
});

test.each([
  ["{", {}, "is no JSON"],
  [{ nonsense: 1 }, {}, "nonsense"],
  [{ subscriptions: { a: { provider: "pi", env: { KEY: 5 } } } }, {}, "subscriptions.a.env.KEY"],
  [{}, { HARNESS_GRACE_MS: "soon" }, "limits.graceMs"],
])("%j with %j is refused by name", async (file, env, named) => {
  await write(file);
  await expect(readSettings(paths, env)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining(named),
  });
});

test.each([
  [{ providers: { pi: { modelKey: "sk-secret" } } }, 0o640, "0640"],
  [{ subscriptions: { work: { provider: "pi", env: { KEY: "sk-secret" } } } }, 0o604, "0604"],
])("%j is refused with mode %o, by which others could read it", async (value, mode, shown) => {
  await write(value);
  await readSettings(paths, {});
  const file = join(paths.home, "sessions.json");
  await chmod(file, mode);
  await expect(readSettings(paths, {})).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: `${file} holds keys and is open to others: its mode is ${shown}.`,
    hint: `Run: chmod 600 ${file}`,
  });
});

test("without keys everybody may read the file", async () => {
  await write({ runIn: "headless", subscriptions: { second: { provider: "codex", home: "/home/me/second" } } });
  await chmod(join(paths.home, "sessions.json"), 0o644);
  expect(await readSettings(paths, {})).toMatchObject({ runIn: "headless" });
});

test("credential profiles are listed without what is in them", async () => {
  await write({
    subscriptions: {
      work: { provider: "claude-code", env: { ANTHROPIC_API_KEY: "sk-secret" } },
      second: { provider: "codex" },
    },
  });
  const listed = subscriptionsOf(paths, await readSettings(paths, {}));
  expect(listed).toEqual([
    { id: "work", provider: "claude-code", source: "variables ANTHROPIC_API_KEY" },
    { id: "second", provider: "codex", source: join(paths.home, "profiles", "second") },
  ]);
});
