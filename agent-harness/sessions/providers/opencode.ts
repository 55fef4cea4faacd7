import { join } from "node:path";
import { packageRoot, templatePath } from "../../shared/paths.ts";
import type { KeeperPlan, PreparedFile, Provider, Spawn, StartRequest, Way } from "../provider.ts";
import { modelBase } from "./model-url.ts";
import { answerCommand } from "./opencode-ask.ts";
import { promptCommand, readOpencode } from "./opencode-read.ts";
import { newOpencodeState, type OpencodeState } from "./opencode-state.ts";

/*
 * opencode. Each session has an `opencode serve` of its own behind bridges/opencode-bridge.ts; in a terminal
 * `opencode attach` is a second client of it. Only its database is private: the login is the person's own, or that of the
 * credential profile whose HOME is in the environment, and so are settings and cache. Moving all of XDG_* would change the
 * commands that the agent runs, too.
 */

const bridge = (): string => join(packageRoot(), "dist", "sessions", "bridges", "opencode-bridge.js");

interface Plan {
  keeper: KeeperPlan;
  files: PreparedFile[];
  state: OpencodeState;
}

function plan(start: StartRequest): Plan {
  const { folder, cwd, settings } = start;
  const bridgeFile = join(folder, "opencode-bridge.json");
  const serverFile = join(folder, "opencode-server");
  const instructionsFile = join(folder, "instructions.md");
  const argv = [settings.command ?? "opencode"];
  const bridgeSettings = {
    argv: [...argv, ...settings.extraArgs],
    serverFile,
    ...(start.resume === undefined ? {} : { resume: start.resume }),
  };
  const env = environment(start, instructionsFile);
  const files: PreparedFile[] = [
    { path: bridgeFile, text: `${JSON.stringify(bridgeSettings)}\n` },
    // What the run before has left there would lead the terminal to a server that is gone.
    { path: serverFile, text: "" },
  ];
  if (start.instructions !== undefined) files.push({ path: instructionsFile, text: start.instructions });
  const backend: Spawn = { argv: [process.execPath, bridge(), bridgeFile], cwd, env };
  const attach = ["/bin/sh", templatePath("opencode-attach.sh"), serverFile, cwd, ...argv] as const;
  const terminal: Spawn = { argv: [...attach], cwd, env };
  return {
    keeper: start.runIn === "tmux" ? { backend, terminal } : { backend },
    files,
    state: newOpencodeState(start.task),
  };
}

function environment(start: StartRequest, instructionsFile: string): Record<string, string> {
  const { env, folder, settings } = start;
  return {
    ...env,
    OPENCODE_DB: join(folder, "opencode.db"),
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    // The list of the world's models is of no use to a model server of one's own.
    ...(settings.modelUrl === undefined ? {} : { OPENCODE_DISABLE_MODELS_FETCH: "1" }),
    OPENCODE_CONFIG_CONTENT: JSON.stringify(config(start, instructionsFile)),
  };
}

function config({ settings, model, permissions, instructions }: StartRequest, instructionsFile: string): object {
  return {
    autoupdate: false,
    permission: rules(permissions),
    ...(instructions === undefined ? {} : { instructions: [instructionsFile] }),
    ...(settings.modelUrl === undefined
      ? model !== undefined && { model }
      : ownModel(settings.modelUrl, settings.modelKey, model ?? "default")),
  };
}

function ownModel(url: string, key: string | undefined, model: string): object {
  const harness = {
    npm: "@ai-sdk/openai-compatible",
    name: "harness",
    options: { baseURL: modelBase(url), apiKey: key ?? "none" },
    models: { [model]: { name: model, tool_call: true, limit: { context: 128_000, output: 8_192 } } },
  };
  const name = `harness/${model}`;
  return { model: name, small_model: name, provider: { harness } };
}

/** Rules for opencode's tools; the last one that fits counts. What only reads is free but for files of secrets. */
function rules(permissions: StartRequest["permissions"]): object {
  if (permissions === "all") return { "*": "allow" };
  const free = ["glob", "grep", "list", "lsp", "skill", "task", "todoread", "todowrite", "question"];
  return {
    "*": "ask",
    ...Object.fromEntries(free.map((name) => [name, "allow"])),
    read: { "*": "allow", "*.env": "ask", "*.env.*": "ask", "*.env.example": "allow" },
    edit: permissions === "edits" ? "allow" : "ask",
    bash: "ask",
    external_directory: "ask",
  };
}

const way: Way<OpencodeState> = {
  plan,
  read: readOpencode,
  input: (state, text) => {
    const { state: after, line } = promptCommand(state, text);
    return { state: after, delivery: { lines: [line] } };
  },
  respond: (state, pending, answer) => {
    const command = state.asked.includes(pending.id) ? answerCommand(pending, answer) : undefined;
    return command === undefined ? undefined : { state, delivery: { lines: [JSON.stringify(command)] } };
  },
  interrupt: (state) => ({
    state: { ...state, aborted: true },
    delivery: { lines: [JSON.stringify({ do: "abort" })] },
  }),
};

/** opencode. */
export const opencode: Provider = {
  name: "opencode",
  command: "opencode",
  install: "npm install -g opencode-ai",
  credentialVariables: [
    ...["OPENCODE_API_KEY", "OPENCODE_AUTH_CONTENT", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"],
    ...["GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GOOGLE_API_KEY", "GROQ_API_KEY", "XAI_API_KEY"],
    ...["DEEPSEEK_API_KEY", "MISTRAL_API_KEY", "CEREBRAS_API_KEY", "FIREWORKS_API_KEY", "AZURE_API_KEY"],
    // Not AWS_ACCESS_KEY_ID and its like: a stack names its own object store by them.
    "AWS_BEARER_TOKEN_BEDROCK",
  ],
  capabilities: { permissions: true, questions: true, resume: true, models: true },
  ways: { headless: way, tmux: way },
};
