import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import { instructionsFileName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findLedger, stackProcessEnv } from "../stacks/index.ts";
import type { Provider } from "./provider.ts";
import type { SessionSettings } from "./settings.ts";
import { profileHome } from "./subscriptions.ts";

/* Where a session runs and what its program sees: the daemon's environment or its stack's, and a credential profile's. */

type Env = Readonly<Record<string, string | undefined>>;

/** The place that a session runs in. */
export interface SessionPlace {
  cwd: string;
  env: Record<string, string>;
  /** What the stack tells a coding agent about itself. */
  instructions?: string;
}

export interface PlaceOptions {
  paths: HomePaths;
  settings: SessionSettings;
  /** The daemon's own environment. */
  env: Env;
  provider: Provider;
  /** Every provider, whose credentials are taken out when a profile is chosen. */
  providers: readonly Provider[];
  /** The project's directory; that of the stack when there is one. */
  cwd: string;
  stack?: number | undefined;
  subscription?: string | undefined;
}

/**
 * Where and with what a session runs; STACK_NOT_LAUNCHED, INVALID_REQUEST for a profile that is not there or another provider's.
 * Our own commands mean our home there, wherever it lies and whoever's HOME the program has.
 */
export async function sessionPlace(options: PlaceOptions): Promise<SessionPlace> {
  const { stack, env, paths } = options;
  const place = stack === undefined ? { cwd: options.cwd, env: ownEnv(env, paths) } : await stackPlace(options, stack);
  return { ...place, env: await withSubscription({ ...place.env, AGENT_HARNESS_HOME: paths.home }, options) };
}

/** What of our environment is not for a program that we start: our own secrets, and signs of the terminal that we run in. */
const ours =
  /^(?:HARNESS_|AGENT_HARNESS_CONFIG$|TMUX|NODE_OPTIONS$|NODE_CHANNEL_|PM2_(?!HOME$)|CLAUDECODE$|CLAUDE_CODE_(?!USE_|OAUTH_)|npm_)/;

function ownEnv(env: Env, { home }: HomePaths): Record<string, string> {
  // An agent's own `pm2` would stop our services.
  const isOurs = (name: string, value: string): boolean =>
    ours.test(name) || (name === "PM2_HOME" && value.startsWith(home));
  const entries = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || isOurs(name, value) ? [] : [[name, value] as const],
  );
  return Object.fromEntries(entries);
}

async function stackPlace({ paths, env, providers }: PlaceOptions, id: number): Promise<SessionPlace> {
  const ledger = await findLedger(paths, id);
  if (ledger?.status !== "ready") {
    const state = ledger === undefined ? "is not launched" : `is ${ledger.status}`;
    throw new HarnessError("STACK_NOT_LAUNCHED", `The stack of agent ${id} ${state}.`, {
      hint: `Run: agent-harness launch ${id}`,
      context: { stack: id },
    });
  }
  const instructions = await findText(join(ledger.workdir, instructionsFileName(id)));
  // A stack sees little of the shell's environment; its coding agent needs the credentials of the shell besides.
  const credentials = Object.fromEntries(
    providers.flatMap(({ credentialVariables }) =>
      credentialVariables.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const])),
    ),
  );
  const terminal = env["TERM"] === undefined ? {} : { TERM: env["TERM"] };
  return {
    cwd: ledger.workdir,
    env: { ...terminal, ...credentials, ...(await stackProcessEnv(ledger)) },
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/**
 * Throws STACK_NOT_LAUNCHED when the stack that a session was started on is gone, or is elsewhere by now: what it is told would
 * be done in a folder that is deleted, on data that is. One that is stopped, or launched anew, is still its own.
 */
export async function requireStack(
  paths: HomePaths,
  { id, stack, cwd }: { id: string; stack?: number; cwd: string },
): Promise<void> {
  if (stack === undefined) return;
  const ledger = await findLedger(paths, stack);
  if (ledger?.workdir === cwd && ledger.status !== "tearing-down") return;
  const now =
    ledger === undefined
      ? "is gone"
      : ledger.workdir === cwd
        ? "is being torn down"
        : `runs elsewhere by now: in ${ledger.workdir}`;
  throw new HarnessError(
    "STACK_NOT_LAUNCHED",
    `The stack of agent ${stack}, on which the session ${id} was started in ${cwd}, ${now}.`,
    { hint: "Create a new session.", context: { stack, session: id } },
  );
}

async function withSubscription(env: Record<string, string>, options: PlaceOptions): Promise<Record<string, string>> {
  const { paths, settings, provider, providers, subscription: name } = options;
  if (name === undefined) return env;
  const profile = settings.subscriptions[name];
  if (profile?.provider !== provider.name) {
    const why =
      profile === undefined
        ? "There is no credential profile"
        : `The credential profile of ${profile.provider} is no use to ${provider.name}:`;
    throw new HarnessError("INVALID_REQUEST", `${why} ${JSON.stringify(name)}.`, {
      hint: `Name one of ${provider.name}: ${profilesOf(settings, provider.name).join(", ") || "there is none in sessions.json"}.`,
    });
  }
  const home = profileHome(paths, name, profile);
  await mkdir(home, { recursive: true, mode: 0o700 });
  const foreign = new Set(providers.flatMap(({ credentialVariables }) => credentialVariables));
  const routes = routesOf(foreign);
  const kept = Object.entries(env).filter(
    ([key]) => !foreign.has(key) && !routes.test(key) && !homeVariables.test(key),
  );
  return { ...Object.fromEntries(kept), HOME: home, ...profile.env };
}

/** Variables that lead a program to the settings and logins of the person instead of the profile's. */
const homeVariables =
  /^(?:HOME|XDG_(?:CONFIG|DATA|STATE|CACHE)_HOME|CLAUDE_CONFIG_DIR|CODEX_HOME|PI_CODING_AGENT_DIR|OPENCODE_CONFIG.*)$/;

/**
 * Variables of the vendors whose credentials are known that lead to another place than theirs, or are credentials by another
 * name: ANTHROPIC_BASE_URL, OPENAI_ORG_ID. With them a profile's key would go to the gateway of somebody else.
 */
function routesOf(credentials: ReadonlySet<string>): RegExp {
  const keys = "API_KEY|AUTH_TOKEN|OAUTH_TOKEN|ACCESS_TOKEN";
  const ends = new RegExp(`^(\\w+?)_(?:${keys}|KEY|TOKEN)$`);
  const vendors = new Set([...credentials].flatMap((name) => ends.exec(name)?.[1] ?? []));
  const places = "URL|BASE|ENDPOINT|HOST|HEADERS|RESOURCE|RESOURCE_NAME";
  const owners = "ORGANIZATION|ORG_ID|PROJECT|PROJECT_ID";
  return new RegExp(`^(?:${[...vendors].join("|")})_(?:(?:\\w+_)?(?:${places})|${keys}|${owners})$`);
}

const profilesOf = ({ subscriptions }: SessionSettings, provider: string): string[] =>
  Object.entries(subscriptions).flatMap(([name, one]) => (one.provider === provider ? [name] : []));
