import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { packageRoot } from "../../shared/paths.ts";
import type { KeeperPlan, PreparedFile, Spawn, StartRequest } from "../provider.ts";
import { shellWord } from "../tmux-text.ts";
import { newPipeState, newTerminalState, type PipeState, type TerminalState } from "./claude-code-state.ts";

/* How Claude Code is started: its arguments, its environment, and the files that it needs before. */

/** Variables with which it needs no login of the person's. */
export const credentialVariables = [
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_AUTH_TOKEN",
  "CLAUDE_CODE_OAUTH_TOKEN",
  "ANTHROPIC_FOUNDRY_API_KEY",
  "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
  "ANTHROPIC_AWS_API_KEY",
  "AWS_BEARER_TOKEN_BEDROCK",
  "CLAUDE_CODE_USE_BEDROCK",
  "CLAUDE_CODE_USE_VERTEX",
  "CLAUDE_CODE_USE_FOUNDRY",
] as const;

/** Hooks that tell what the terminal program does. Each costs the start of a process, so there is none around every tool. */
const hooks = ["SessionStart", "UserPromptSubmit", "Notification", "Stop", "StopFailure", "SessionEnd"] as const;
/** As long as a person may take, in seconds. */
const answerLimit = 30 * 24 * 3600;

const modes = { ask: "default", edits: "acceptEdits", all: "bypassPermissions" } as const;

/** On pipes: one program for the whole session, which takes messages as they come. */
export function planPipe(start: StartRequest): { keeper: KeeperPlan; files: PreparedFile[]; state: PipeState } {
  const session = start.resume ?? randomUUID();
  const streams = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
  const { argv, files } = program(start, ["-p", ...streams, "--permission-prompt-tool", "stdio"], session);
  const env = { ...environment(start), CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1" };
  const file = logFile(start.cwd, configFolder(start.env), session);
  const backend: Spawn = { argv: [...argv, ...start.settings.extraArgs] as Spawn["argv"], cwd: start.cwd, env };
  return { keeper: { backend }, files, state: newPipeState(session, { file, task: start.task }) };
}

/** In a terminal: the program that a person uses, with hooks that speak to the keeper. */
export function planTerminal(start: StartRequest): { keeper: KeeperPlan; files: PreparedFile[]; state: TerminalState } {
  const session = start.resume ?? randomUUID();
  const settings = join(start.folder, "claude-settings.json");
  const { argv, files } = program(start, ["--settings", settings], session);
  files.push({ path: settings, text: settingsText(start) });
  const env = environment(start);
  const folder = ownFolder(start, env);
  if (folder !== undefined) {
    env["CLAUDE_CONFIG_DIR"] = folder;
    files.push({ path: join(folder, ".claude.json"), text: seedText(start, env) });
  }
  const config = folder ?? configFolder(env);
  // A folder of its own holds this session's logs only, also those of the sessions that /clear begins.
  const follow = config === undefined ? [] : [join(config, "projects", "*", folder ? "*.jsonl" : `${session}.jsonl`)];
  const watch = config === undefined ? [] : [join(config, "sessions", "*.json")];
  const terminal: Spawn = { argv: [...argv, ...start.settings.extraArgs] as Spawn["argv"], cwd: start.cwd, env };
  if (start.task !== undefined) {
    // Everybody on the machine sees arguments, and one of them has at most 128 KiB.
    terminal.stdin = join(start.folder, "task.txt");
    files.push({ path: terminal.stdin, text: start.task });
  }
  return { keeper: { terminal, follow, watch }, files, state: newTerminalState(session, start.task !== undefined) };
}

function program(start: StartRequest, way: string[], session: string): { argv: Spawn["argv"]; files: PreparedFile[] } {
  const { settings, instructions, resume, model, permissions, folder } = start;
  const argv: Spawn["argv"] = [settings.command ?? "claude", ...way];
  const files: PreparedFile[] = [];
  argv.push(...(resume === undefined ? ["--session-id", session] : ["--resume", session]));
  argv.push("--permission-mode", modes[permissions]);
  if (model !== undefined) argv.push("--model", model);
  if (instructions !== undefined) {
    // They hold the stack's credentials, and everybody on the machine sees arguments.
    const path = join(folder, "instructions.md");
    files.push({ path, text: instructions });
    argv.push("--append-system-prompt-file", path);
  }
  return { argv, files };
}

function environment({ env, settings, permissions }: StartRequest): Record<string, string> {
  const { modelUrl, modelKey } = settings;
  return {
    DISABLE_AUTOUPDATER: "1",
    ...env,
    // Whoever has a model server of their own need not reach the vendor's other servers.
    ...(modelUrl && { ANTHROPIC_BASE_URL: modelUrl, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" }),
    ...(modelKey && { ANTHROPIC_API_KEY: modelKey }),
    // Without this it refuses to be root and to ask nothing at once.
    ...(permissions === "all" && { IS_SANDBOX: "1" }),
    // The person chose this directory when the session was created; a dialog would hold it up.
    CLAUDE_CODE_SANDBOXED: "1",
  };
}

/** Where the program keeps what it knows of the person. */
const configFolder = (env: Record<string, string>): string | undefined =>
  env["CLAUDE_CONFIG_DIR"] ?? (env["HOME"] === undefined ? undefined : join(env["HOME"], ".claude"));

/**
 * A folder of the session's own for that, where its credentials come by variables: the terminal program would ask a person
 * whom it does not know for a theme, a login and whether the key may be used. Somebody who logged in has answered all that.
 */
function ownFolder({ folder }: StartRequest, env: Record<string, string>): string | undefined {
  const byVariable = credentialVariables.some((name) => env[name]);
  return byVariable && env["CLAUDE_CONFIG_DIR"] === undefined ? join(folder, "claude") : undefined;
}

function seedText({ cwd }: StartRequest, env: Record<string, string>): string {
  const key = env["ANTHROPIC_API_KEY"];
  const seed = {
    hasCompletedOnboarding: true,
    theme: "dark",
    bypassPermissionsModeAccepted: true,
    // How long after a turn it says that it waits, in ms: the second witness of a turn's end.
    messageIdleNotifThresholdMs: 1000,
    // It names keys by their last 20 characters.
    ...(key && { customApiKeyResponses: { approved: [key.slice(-20)], rejected: [] } }),
    projects: { [cwd]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } },
  };
  return `${JSON.stringify(seed, null, 2)}\n`;
}

function settingsText({ socket }: StartRequest): string {
  const script = join(packageRoot(), "dist", "sessions", "bridges", "claude-hook.js");
  // The program gives a hook's command to a shell.
  const command = [process.execPath, script, socket].map(shellWord).join(" ");
  const entries = hooks.map((name) => [name, [{ hooks: [{ type: "command", command, timeout: 30 }] }]]);
  const asks = [{ hooks: [{ type: "command", command: `${command} wait`, timeout: answerLimit }] }];
  const settings = {
    hooks: Object.fromEntries([...entries, ["PermissionRequest", asks]]),
    skipDangerousModePermissionPrompt: true,
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

/** The session log: in a folder named after the directory. */
const logFile = (cwd: string, config: string | undefined, session: string): string | undefined =>
  config === undefined ? undefined : join(config, "projects", cwd.replaceAll(/[^a-zA-Z0-9]/g, "-"), `${session}.jsonl`);
