import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { HarnessError } from "./errors.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A unix socket's path must fit in 104 bytes on macOS; PM2 adds up to 14 to its home. */
const maxHomeLength = 80;

/** Where all state of the harness on this machine lies; absolute. `AGENT_HARNESS_HOME` moves it. */
export function harnessHome(env: Env = process.env): string {
  const chosen = env["AGENT_HARNESS_HOME"];
  if (chosen) return resolve(chosen);
  // Postgres refuses to run as root, and the user it runs as cannot enter /root.
  if (isRoot()) return "/var/lib/agent-harness";
  return join(env["HOME"] || homedir(), ".agent-harness");
}

/** Whether this process is root (never on Windows). */
export const isRoot = (): boolean => process.getuid?.() === 0;

/** Every place below the harness's home, by name. */
export interface HomePaths {
  home: string;
  registry: string;
  registryLock: string;
  stacks: string;
  credentials: string;
  infra: string;
  logs: string;
  pm2: string;
  postgresBinaries: string;
  postgresData: string;
  s3Data: string;
  mailData: string;
  browser: string;
  /** What the compose driver mounts into its containers: the credentials, a file each. */
  compose: string;
  verify: string;
  /** Which process is the reaper; there while one runs. */
  reaper: string;
  /** The bearer token of the HTTP API, where HARNESS_BEARER_TOKEN names none. */
  apiToken: string;
  /** What this home is called in a store that other homes use too. */
  homeName: string;
  /** A folder a session: its journal, its keeper's socket, whatever its provider wants. */
  sessions: string;
  /** The socket of our tmux server. */
  tmux: string;
  /** The key that webhooks are signed with. */
  webhookSecret: string;
  /** What `dispatch` leaves for the one that takes its run up again; a file a run. */
  dispatches: string;
}

/** The layout of the harness's home. */
export function homePaths(home: string = harnessHome()): HomePaths {
  return {
    home,
    registry: join(home, "registry.json"),
    registryLock: join(home, "locks", "registry"),
    stacks: join(home, "stacks"),
    credentials: join(home, "credentials.json"),
    infra: join(home, "infra.json"),
    logs: join(home, "logs"),
    pm2: join(home, "pm2"),
    postgresBinaries: join(home, "postgres", "bin"),
    postgresData: join(home, "postgres", "data"),
    s3Data: join(home, "s3"),
    mailData: join(home, "mail"),
    browser: join(home, "browser"),
    compose: join(home, "compose"),
    verify: join(home, "verify"),
    reaper: join(home, "reaper.json"),
    homeName: join(home, "home-name"),
    sessions: join(home, "sessions"),
    tmux: join(home, "tmux", "server"),
    apiToken: join(home, "api-token"),
    webhookSecret: join(home, "webhook-secret"),
    dispatches: join(home, "dispatch"),
  };
}

/** The folder of one stack: its ledger and logs. */
export const stackFolder = (id: number, home: string = harnessHome()): string => join(home, "stacks", String(id));

/** Creates the harness's home, or says why it cannot be used. */
export async function ensureHome(paths: HomePaths = homePaths()): Promise<HomePaths> {
  if (Buffer.byteLength(paths.home) > maxHomeLength) {
    throw new HarnessError(
      "HOME_UNUSABLE",
      `The harness's home ${paths.home} is longer than ${maxHomeLength} bytes: PM2's socket would not fit.`,
      { hint: "Set AGENT_HARNESS_HOME to a shorter path." },
    );
  }
  try {
    // 0711: the user that Postgres runs as (when we are root) must be able to pass through, not to look around.
    await mkdir(paths.home, { recursive: true, mode: 0o711 });
  } catch (cause) {
    throw new HarnessError(
      "HOME_UNUSABLE",
      `The harness's home ${paths.home} cannot be created by ${userInfo().username}.`,
      {
        hint: "Set AGENT_HARNESS_HOME to a folder that you may write.",
        cause,
      },
    );
  }
  return paths;
}

/** Whether a path is the folder itself or lies below it. */
export function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`);
}

/** Deletes a folder below `within`; refuses anything else. The only recursive delete of the program. */
export async function removeFolder(path: string, within: string): Promise<void> {
  if (resolve(path) === resolve(within) || !isWithin(resolve(within), resolve(path))) {
    throw new HarnessError("INTERNAL", `Refusing to delete ${path}: it does not lie below ${within}.`);
  }
  // Retried, because a process that is just ending may still write into it.
  await rm(path, { recursive: true, force: true, maxRetries: 5 });
}

/** The root of the installed package: the folder with package.json, templates/ and dist/. */
export function packageRoot(from: string = dirname(fileURLToPath(import.meta.url))): string {
  if (existsSync(join(from, "package.json"))) return from;
  const parent = dirname(from);
  if (parent === from) throw new HarnessError("INTERNAL", "The package's own package.json was not found.");
  return packageRoot(parent);
}

/** The version of the installed package. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string }).version;

/** A file of `templates/`, by its name; absolute. */
export const templatePath = (name: string): string => join(packageRoot(), "templates", name);
