import { randomBytes } from "node:crypto";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import { isLoopback } from "../shared/loopback.ts";
import { type HomePaths, packageVersion } from "../shared/paths.ts";
import { ensureSecret } from "../shared/secret-file.ts";
import { openInfraConfig, startInfra } from "../stacks/index.ts";
import type { Store } from "../store/index.ts";
import { type CommandContext, command, type OpenApi, type Options } from "./command.ts";
import { errorLines, jsonText } from "./output.ts";
import { pruneEachHour, retentionOf } from "./retention.ts";
import { driverOption, homeOf, withDriver } from "./stack-command.ts";
import { parseCount, usage } from "./usage.ts";

const usualPort = 7070;
const usualHost = "127.0.0.1";

/** How long the answer to "is tmux here" is believed. */
const tmuxKnownMs = 30_000;

export const serveCommand = command<void>({
  usage: "serve",
  summary: "serve the HTTP API that runs coding agents, until interrupted; starts the shared services that it needs",
  options: [
    ["--port <n>", `(default: ${usualPort})`],
    ["--host <address>", `an address of loopback (default: ${usualHost})`],
    driverOption,
    ["--json", "print where it listens as one JSON document"],
  ],
  ownJson: true,
  run: async (_, options, given) => {
    const context = withDriver(given, options);
    const port = parseCount("--port", options["port"], usualPort);
    if (port > 65_535) throw usage(`--port wants at most 65535, not ${port}.`, `Such as: --port ${usualPort}`);
    await serve(context, { port, host: hostOf(options) });
  },
});

/** Who reaches the API can run programs: other machines come through a tunnel. */
function hostOf({ host = usualHost }: Options): string {
  if (typeof host === "string" && isLoopback(host)) return host;
  const tunnel = `ssh -L ${usualPort}:${usualHost}:${usualPort} <this machine>`;
  throw usage(`The API listens on loopback only, not on ${String(host)}.`, `From another machine: ${tunnel}`);
}

/** Opens what the API needs, from the ground up, and closes it the other way round when a signal comes. */
async function serve(context: CommandContext, place: { port: number; host: string }): Promise<void> {
  const { env } = context;
  const paths = homeOf(context);
  const retention = retentionOf(env);
  const openApi = requireApi(context);
  // Here, so that no other command waits for them to be loaded.
  const { openSessions, openWebhooks, tmuxAvailable } = await import("../sessions/index.ts");
  using interrupted = listenToSignals();
  const report = (error: unknown): void => context.stderr(errorLines(asHarnessError(error)));
  await using store = await openHarnessStore(context, paths);
  using _pruning = pruneEachHour(store, retention, report);
  const version = packageVersion();
  await using webhooks = await openWebhooks({ queue: store.deliveries, events: store.events, paths, env, version });
  await using sessions = await openSessions({ store, paths, env, report });
  const api = await openApi({
    ...place,
    sessions,
    events: store.events,
    webhooks,
    token: await tokenOf(paths, env),
    version,
    tmuxAvailable: believed(tmuxAvailable, tmuxKnownMs),
    report,
  });
  context.stdout(listeningText(context, api.url, paths));
  await interrupted.signal;
  context.stderr("stopping: agents go on, and are taken up again by the next agent-harness serve\n");
  await api.stop();
}

function requireApi({ openApi }: CommandContext): OpenApi {
  if (openApi !== undefined) return openApi;
  throw new HarnessError("INTERNAL", "This program was started without the HTTP API.");
}

async function openHarnessStore(context: CommandContext, paths: HomePaths): Promise<Store> {
  const { cwd, config, env, progress } = context;
  const infra = await startInfra({ paths, ...(await openInfraConfig({ cwd, config, env })), progress });
  const { host, port, user, password } = infra.postgres;
  const { openStore } = await import("../store/index.ts");
  return await openStore({ server: { host, port, user, password } });
}

/** The token that clients have to send: HARNESS_BEARER_TOKEN, else one that is made once and kept in the home. */
async function tokenOf(paths: HomePaths, env: CommandContext["env"]): Promise<string> {
  return (
    env["HARNESS_BEARER_TOKEN"] || (await ensureSecret(paths.apiToken, () => randomBytes(32).toString("base64url")))
  );
}

function listeningText({ json, env }: CommandContext, url: string, paths: HomePaths): string {
  const token = env["HARNESS_BEARER_TOKEN"] ? "HARNESS_BEARER_TOKEN" : paths.apiToken;
  if (json) return jsonText({ url: `${url}/api/v1`, token, pid: process.pid });
  return `agent-harness serves ${url}/api/v1 (token: ${token}; page: ${url}/inspect)\n`;
}

/** What was answered, for a while. */
function believed(ask: () => Promise<boolean>, forMs: number): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined;
  let at = 0;
  return () => {
    if (answer === undefined || performance.now() - at > forMs) {
      at = performance.now();
      answer = ask();
    }
    return answer;
  };
}

/** Resolves with the first SIGINT or SIGTERM; the second one ends the process at once. */
function listenToSignals(): Disposable & { signal: Promise<void> } {
  let come = (): void => undefined;
  const signal = new Promise<void>((resolve) => {
    come = resolve;
  });
  let count = 0;
  const take = (name: NodeJS.Signals): void => {
    count += 1;
    if (count > 1) process.exit(name === "SIGINT" ? 130 : 143);
    come();
  };
  process.on("SIGINT", take).on("SIGTERM", take);
  return { signal, [Symbol.dispose]: () => void process.off("SIGINT", take).off("SIGTERM", take) };
}
