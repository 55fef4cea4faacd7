import { join } from "node:path";
import { packageRoot } from "../../shared/paths.ts";
import type { KeeperPlan, PreparedFile, Provider, StartRequest, Way } from "../provider.ts";
import { modelBase } from "./model-url.ts";
import { dialogAnswer } from "./pi-dialog.ts";
import { promptLine, readPi } from "./pi-read.ts";
import { newPiState, type PiState } from "./pi-state.ts";

/*
 * pi. Headless it runs in rpc mode. In a terminal an extension of ours (bridges/pi-extension.ts) speaks for it, over
 * bridges/pi-bridge.ts, in the words of rpc mode; its session log is the second witness. It asks for no permission, so
 * `permissions` changes nothing; what other extensions ask becomes a question where pi runs in rpc mode.
 */

const bridge = (name: string): string => join(packageRoot(), "dist", "sessions", "bridges", name);

/** Lines that repeat what was said so far, each time: kept, they would grow with the square of an answer. */
const repeated = ['{"type":"message_update"', '{"type":"tool_execution_update"'];

function planHeadless(start: StartRequest): { keeper: KeeperPlan; files: PreparedFile[]; state: PiState } {
  const { argv, env, files } = program(start, ["--mode", "rpc"]);
  return {
    keeper: { backend: { argv, cwd: start.cwd, env }, drop: repeated },
    files,
    state: newPiState(start.task, false),
  };
}

function planTerminal(start: StartRequest): { keeper: KeeperPlan; files: PreparedFile[]; state: PiState } {
  const { argv, env, files } = program(start, ["--extension", bridge("pi-extension.js")]);
  const socket = join(start.folder, "pi.sock");
  return {
    keeper: {
      backend: { argv: [process.execPath, bridge("pi-bridge.js"), socket], cwd: start.cwd, env: start.env },
      terminal: { argv, cwd: start.cwd, env: { ...env, AGENT_HARNESS_PI_SOCKET: socket } },
      follow: [join(sessionsFolder(start), "*.jsonl")],
    },
    files,
    state: newPiState(start.task, true),
  };
}

const sessionsFolder = (start: StartRequest): string => join(start.folder, "pi-sessions");

function program(
  start: StartRequest,
  mode: string[],
): { argv: [string, ...string[]]; env: Record<string, string>; files: PreparedFile[] } {
  const { settings, instructions, resume, folder } = start;
  const files: PreparedFile[] = [];
  const argv: [string, ...string[]] = [settings.command ?? "pi", ...mode, "--session-dir", sessionsFolder(start)];
  // Asking the vendor for a newer version would only delay the start.
  const env: Record<string, string> = { PI_SKIP_VERSION_CHECK: "1", PI_TELEMETRY: "0", ...start.env };
  if (resume !== undefined) argv.push("--session", resume);
  if (instructions !== undefined) {
    const path = join(folder, "instructions.md");
    files.push({ path, text: instructions });
    argv.push("--append-system-prompt", path);
  }
  if (settings.modelUrl !== undefined) {
    const home = join(folder, "pi-home");
    const model = start.model ?? "default";
    files.push({ path: join(home, "models.json"), text: models(settings.modelUrl, settings.modelKey, model) });
    env["PI_CODING_AGENT_DIR"] = home;
    argv.push("--provider", "harness", "--model", model);
  } else if (start.model !== undefined) argv.push("--model", start.model);
  argv.push(...settings.extraArgs);
  return { argv, env, files };
}

function models(url: string, key: string | undefined, model: string): string {
  const harness = {
    baseUrl: modelBase(url),
    api: "openai-completions",
    apiKey: key ?? "none",
    models: [{ id: model }],
  };
  return `${JSON.stringify({ providers: { harness } }, null, 2)}\n`;
}

const way = (plan: Way<PiState>["plan"], answers: boolean): Way<PiState> => ({
  plan,
  read: readPi,
  input: (state, text) => {
    const { state: after, line } = promptLine(state, text);
    return { state: after, delivery: { lines: [line] } };
  },
  // In a terminal the dialogs of extensions are the person's who sits there.
  respond: (state, pending, answer) =>
    answers && state.asked.includes(pending.id)
      ? { state, delivery: { lines: [dialogAnswer(pending, answer)] } }
      : undefined,
  interrupt: (state) => ({ state, delivery: { lines: [JSON.stringify({ id: "abort", type: "abort" })] } }),
});

/** pi. */
export const pi: Provider = {
  name: "pi",
  command: "pi",
  install: "npm install -g @mariozechner/pi-coding-agent",
  credentialVariables: [
    ...["ANTHROPIC_API_KEY", "ANTHROPIC_OAUTH_TOKEN", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "GEMINI_API_KEY"],
    ...["DEEPSEEK_API_KEY", "GROQ_API_KEY", "CEREBRAS_API_KEY", "XAI_API_KEY", "FIREWORKS_API_KEY"],
    ...["OPENROUTER_API_KEY", "AI_GATEWAY_API_KEY", "ZAI_API_KEY", "MISTRAL_API_KEY", "MINIMAX_API_KEY"],
    ...["MOONSHOT_API_KEY", "OPENCODE_API_KEY", "KIMI_API_KEY", "CLOUDFLARE_API_KEY", "XIAOMI_API_KEY"],
    // Not AWS_ACCESS_KEY_ID and its like: a stack names its own object store by them.
    "AWS_BEARER_TOKEN_BEDROCK",
  ],
  capabilities: { permissions: false, questions: false, resume: true, models: true },
  ways: { headless: way(planHeadless, true), tmux: way(planTerminal, false) },
};
