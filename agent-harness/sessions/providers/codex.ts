import { join } from "node:path";
import { packageRoot, templatePath } from "../../shared/paths.ts";
import type { PreparedFile, Provider, Spawn, StartRequest, Way } from "../provider.ts";
import { resultOf } from "./codex-asks.ts";
import { answerLine, inputLines, interruptLines } from "./codex-calls.ts";
import { readCodex } from "./codex-read.ts";
import { type CodexState, newCodexState, type Opening } from "./codex-state.ts";
import { modelBase } from "./model-url.ts";

/*
 * codex. Headless it is `codex app-server` on its standard streams. In a terminal the same server listens on a unix socket and
 * has two clients: us, over bridges/codex-bridge.ts, and codex's own terminal program, which shows the same thread. So status
 * and answers go over the protocol in both, and whoever answers first, a person in the terminal or we, has answered.
 */

const modelKeyVariable = "AGENT_HARNESS_MODEL_KEY";

/**
 * What codex may do without asking, in its own words. `untrusted` asks for all that does more than read. What was allowed then
 * runs outside of codex's sandbox, since in it neither the stack's services nor git's own folder can be reached, and it
 * would have to ask a second time.
 */
const policies = {
  ask: { approvalPolicy: "untrusted", sandbox: "danger-full-access" },
  edits: { approvalPolicy: "on-request", sandbox: "workspace-write" },
  all: { approvalPolicy: "never", sandbox: "danger-full-access" },
} as const;

const planHeadless: Way<CodexState>["plan"] = (start) => {
  const { argv, env, files } = program(start);
  const backend: Spawn = { argv: [...argv, "app-server"], cwd: start.cwd, env };
  return { keeper: { backend }, files, state: newCodexState(false, openingOf(start), start.task) };
};

const planTerminal: Way<CodexState>["plan"] = (start) => {
  const { argv, env, files } = program(start);
  const { cwd, folder } = start;
  const socket = join(folder, "codex.sock");
  // Empty until the thread can be shown: a terminal program that came before it would find none and end.
  const thread = { path: join(folder, "codex-thread"), text: "" };
  const bridge = join(packageRoot(), "dist", "sessions", "bridges", "codex-bridge.js");
  const show = ["/bin/sh", templatePath("codex-terminal.sh"), thread.path, ...argv] as const;
  return {
    keeper: {
      backend: { argv: [process.execPath, bridge, socket, thread.path, ...argv], cwd, env },
      terminal: { argv: [...show, "--remote", `unix://${socket}`], cwd, env },
    },
    files: [...files, thread],
    state: newCodexState(true, openingOf(start), start.task),
  };
};

/** codex with its settings; a home of the session's own, with the person's settings and login in it. */
function program(start: StartRequest): {
  argv: [string, ...string[]];
  env: Record<string, string>;
  files: PreparedFile[];
} {
  const { settings, folder } = start;
  const home = join(folder, "codex");
  // Its data would be elsewhere than its home.
  const { CODEX_SQLITE_HOME: _, ...env } = start.env;
  const quiet = { check_for_update_on_startup: "false", suppress_unstable_features_warning: "true" };
  const values = { ...quiet, ...modelValues(settings.modelUrl) };
  const config = Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return {
    argv: [settings.command ?? "codex", ...config, ...settings.extraArgs],
    env: {
      ...env,
      CODEX_HOME: home,
      ...(settings.modelUrl === undefined ? {} : { [modelKeyVariable]: settings.modelKey ?? "none" }),
    },
    files: homeFiles(home, start.env),
  };
}

/** In TOML, whose strings are written as JSON's. */
function modelValues(url: string | undefined): Record<string, string> {
  if (url === undefined) return {};
  const text = JSON.stringify;
  const provider = [
    `name = ${text("agent-harness")}`,
    `base_url = ${text(modelBase(url))}`,
    `wire_api = ${text("responses")}`,
    `env_key = ${text(modelKeyVariable)}`,
  ];
  return {
    model_provider: text("agent-harness"),
    "model_providers.agent-harness": `{ ${provider.join(", ")} }`,
  };
}

/** The login is linked, not copied: codex renews it, and the old one is void then. A key alone it takes from no variable. */
function homeFiles(home: string, env: Record<string, string>): PreparedFile[] {
  const own = env["CODEX_HOME"] ?? join(env["HOME"] ?? "/", ".codex");
  const path = join(home, "auth.json");
  const login = (key: string): string => `${JSON.stringify({ auth_mode: "apikey", OPENAI_API_KEY: key })}\n`;
  const { CODEX_API_KEY: codexKey, OPENAI_API_KEY: openaiKey } = env;
  const orText = openaiKey === undefined ? {} : { orText: login(openaiKey) };
  return [
    codexKey === undefined ? { path, linkTo: join(own, "auth.json"), ...orText } : { path, text: login(codexKey) },
    { path: join(home, "config.toml"), copyOf: join(own, "config.toml") },
    { path: join(home, "AGENTS.md"), copyOf: join(own, "AGENTS.md") },
  ];
}

function openingOf({ cwd, model, instructions, permissions, resume }: StartRequest): Opening {
  const params = {
    cwd,
    ...policies[permissions],
    ...(model === undefined ? {} : { model }),
    ...(instructions === undefined ? {} : { developerInstructions: instructions }),
    // It asks questions in its planning mode only, unless told so.
    config: { "features.default_mode_request_user_input": true },
  };
  if (resume === undefined) return { method: "thread/start", params };
  return { method: "thread/resume", params: { threadId: resume, excludeTurns: true, ...params } };
}

const way = (plan: Way<CodexState>["plan"]): Way<CodexState> => ({
  plan,
  read: readCodex,
  input: (state, text) => {
    const { state: after, lines } = inputLines(state, text);
    return { state: after, delivery: { lines } };
  },
  respond: (state, pending, answer) => {
    const ask = Object.hasOwn(state.asks, pending.id) ? state.asks[pending.id] : undefined;
    const result = ask === undefined ? undefined : resultOf(ask, pending, answer);
    if (ask === undefined || result === undefined) return undefined;
    const line = answerLine(ask.request, result);
    // A refusal has no room for words: they join the turn behind it.
    const words = "message" in answer ? answer.message : undefined;
    const { state: after, lines } = words === undefined ? { state, lines: [] } : inputLines(state, words);
    return { state: after, delivery: { lines: [line, ...lines] } };
  },
  interrupt: (state) => {
    const { state: after, lines } = interruptLines(state);
    return { state: after, delivery: { lines } };
  },
});

/** codex. */
export const codex: Provider = {
  name: "codex",
  command: "codex",
  install: "npm install -g @openai/codex",
  credentialVariables: ["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", modelKeyVariable],
  capabilities: { permissions: true, questions: true, resume: true, models: true },
  ways: { headless: way(planHeadless), tmux: way(planTerminal) },
};
