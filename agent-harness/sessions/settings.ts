import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type ProviderName, providerNames, runWays } from "./session.ts";

/*
 * The settings of sessions, which are the machine's and not a project's: <home>/sessions.json, all of it optional,
 *
 *   {
 *     "runIn": "tmux",                       how sessions run that do not say it: tmux | headless
 *     "permissions": "ask",                  what they may do without asking: ask | edits | all
 *     "providers": {
 *       "codex": { "command": "/opt/codex/bin/codex", "extraArgs": [], "modelUrl": "http://127.0.0.1:8099/v1",
 *                  "modelKey": "x", "enabled": true }
 *     },
 *     "subscriptions": {                     credential profiles; a session names one
 *       "work": { "provider": "claude-code", "env": { "ANTHROPIC_API_KEY": "…" } },
 *       "second": { "provider": "codex", "home": "/home/me/second" }
 *     },
 *     "limits": { "noOutputMs": 900000 }     the names and defaults of `limits` below
 *   }
 *
 * and over it the variables HARNESS_RUN_IN, HARNESS_PERMISSIONS and, for each limit, one such as HARNESS_NO_OUTPUT_MS. The
 * file may hold keys: with one it has to be 0600, and nothing of it is shown but the names.
 */

const ms = z.int().min(0);

/** How long things may take; 0 turns a limit off, but for the lease, the grace and the quiet, which are no limits of a session. */
const limits = z.strictObject({
  /** From the start of the program to its first sign of life. */
  spawnMs: ms.default(120_000),
  /** Without a line of the program while it works, and no tool of its own is at work. */
  noOutputMs: ms.default(15 * 60_000),
  /** The same while a tool is at work, which may be silent for long. */
  toolMs: ms.default(2 * 3_600_000),
  /** From its word that it is over to its end. */
  exitMs: ms.default(30_000),
  /** From an interrupt to the end of the turn; then the program is ended. */
  interruptMs: ms.default(15_000),
  /** At rest without new input; then a program that can be resumed is ended. */
  idleMs: ms.default(8 * 3_600_000),
  /** For how long a daemon has a session without saying so again; then another one takes it. */
  leaseMs: z.int().min(500).default(20_000),
  /** From SIGTERM to SIGKILL. */
  graceMs: ms.default(3_000),
  /** Without news from the session's log before its last message counts as the last one, in tmux. */
  quietMs: ms.default(400),
});
export type Limits = z.output<typeof limits>;

const providerSettings = z.strictObject({
  command: z.string().min(1).optional(),
  extraArgs: z.array(z.string()).default([]),
  modelUrl: z.url().optional(),
  modelKey: z.string().optional(),
  enabled: z.boolean().default(true),
});

const subscription = z.strictObject({
  provider: z.enum(providerNames),
  /** Its variables; they replace every credential of the environment. */
  env: z.record(z.string(), z.string()).default({}),
  /** Its HOME, where its program was logged in; a private one below the harness's home when absent. */
  home: z.string().optional(),
});
export type SubscriptionSettings = z.output<typeof subscription>;

const schema = z.strictObject({
  runIn: z.enum(runWays).default("tmux"),
  permissions: z.enum(["ask", "edits", "all"]).default("ask"),
  providers: z.partialRecord(z.enum(providerNames), providerSettings).default({}),
  subscriptions: z.record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/), subscription).default({}),
  limits: limits.prefault({}),
});
export type SessionSettings = z.output<typeof schema>;

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the settings; CONFIG_INVALID names the file or variable that is wrong. */
export async function readSettings(paths: HomePaths, env: Env): Promise<SessionSettings> {
  const file = settingsFile(paths);
  const text = await findText(file);
  const settings = parse(text === undefined ? {} : parseJson(text, file), file);
  if (text !== undefined && holdsKeys(settings)) await refuseShown(file);
  return parse({ ...settings, ...overrides(settings, env) }, "HARNESS_* variables");
}

const holdsKeys = ({ providers, subscriptions }: SessionSettings): boolean =>
  Object.values(providers).some((one) => one.modelKey !== undefined) ||
  Object.values(subscriptions).some((one) => Object.keys(one.env).length > 0);

/** Keys in a file that others on the machine can read are known to them. */
async function refuseShown(file: string): Promise<void> {
  const mode = (await stat(file)).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new HarnessError(
    "CONFIG_INVALID",
    `${file} holds keys and is open to others: its mode is 0${mode.toString(8)}.`,
    {
      hint: `Run: chmod 600 ${file}`,
    },
  );
}

/** Where the settings of sessions are. */
export const settingsFile = (paths: HomePaths): string => join(paths.home, "sessions.json");

/** What is configured of one provider. */
export function providerSettingsOf(settings: SessionSettings, name: ProviderName): z.output<typeof providerSettings> {
  return settings.providers[name] ?? { extraArgs: [], enabled: true };
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HarnessError("CONFIG_INVALID", `${file} is no JSON.`, { hint: `Repair ${file}.`, cause });
  }
}

function parse(value: unknown, from: string): SessionSettings {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  // The value itself may be a key, so it is not shown.
  const where = issue?.path.join(".") ?? "";
  throw new HarnessError(
    "CONFIG_INVALID",
    `${from}: ${where === "" ? "" : `${where}: `}${issue?.message ?? "not understood"}.`,
    {
      hint: from.startsWith("/")
        ? `Correct ${where === "" ? "it" : where} in ${from}.`
        : "Correct the variable, or take it away.",
    },
  );
}

function overrides(settings: SessionSettings, env: Env): Record<string, unknown> {
  const own = (name: string): string | undefined => env[`HARNESS_${name}`] || undefined;
  const changed = Object.keys(settings.limits).flatMap((key) => {
    const text = own(key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
    return text === undefined ? [] : [[key, Number(text)] as const];
  });
  return {
    ...(own("RUN_IN") && { runIn: own("RUN_IN") }),
    ...(own("PERMISSIONS") && { permissions: own("PERMISSIONS") }),
    limits: { ...settings.limits, ...Object.fromEntries(changed) },
  };
}
