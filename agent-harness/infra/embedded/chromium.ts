import { execFile } from "node:child_process";
import { access, constants, readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { homePaths, isRoot } from "../../shared/paths.ts";
import { unpackChromium } from "./chromium-package.ts";

const run = promisify(execFile);
const versionTimeoutMs = 20_000;

/** A Chromium that was started once and told its version. */
export interface Chromium {
  path: string;
  /** What it needs on its command line here. */
  args: string[];
  /** What it needs in its environment here, beside ours. */
  env: Record<string, string>;
  version: string;
  /** Where it was found, in words: `AGENT_HARNESS_CHROMIUM`, `PATH`, … */
  source: string;
}

export interface FindOptions {
  env?: Readonly<Record<string, string | undefined>>;
  /** Look only at the package from npm; AGENT_HARNESS_CHROMIUM counts all the same. */
  skipSystem?: boolean;
  /** The folder into which the npm package is unpacked. */
  folder?: string;
}

/**
 * The Chromium of this machine: the one that AGENT_HARNESS_CHROMIUM names, else one that is installed, else (Linux x64) the one
 * of the optional npm package @sparticuz/chromium, unpacked once. Throws BROWSER_NOT_FOUND, saying what to install.
 */
export async function findChromium(options: FindOptions = {}): Promise<Chromium> {
  const env = options.env ?? process.env;
  const chosen = env["AGENT_HARNESS_CHROMIUM"];
  if (chosen) return await requireChosen(chosen);
  const tried: string[] = [];
  for (const { path, source } of options.skipSystem ? [] : await installed(env)) {
    const found = await probe(path, source).catch((error: unknown) => void tried.push(`${path}: ${errorText(error)}`));
    if (found) return found;
  }
  const unpacked = await unpackChromium(options.folder ?? homePaths().browser);
  if (unpacked !== undefined) return await probe(unpacked, "the npm package @sparticuz/chromium");
  throw new HarnessError("BROWSER_NOT_FOUND", ["No Chromium was found on this machine.", ...tried].join(" "), {
    hint: `Install one (${installHint()}), or set AGENT_HARNESS_CHROMIUM to its path.`,
  });
}

async function requireChosen(path: string): Promise<Chromium> {
  try {
    return await probe(path, "AGENT_HARNESS_CHROMIUM");
  } catch (cause) {
    throw new HarnessError(
      "BROWSER_NOT_FOUND",
      `AGENT_HARNESS_CHROMIUM is ${path}, which does not start: ${errorText(cause)}`,
      {
        hint: "Set it to the path of a Chromium or Chrome, or unset it to have one looked for.",
        cause,
      },
    );
  }
}

function installHint(): string {
  if (process.platform === "darwin") return "brew install --cask chromium";
  return "Debian: apt-get install chromium; Ubuntu: snap install chromium, or Google Chrome's .deb";
}

async function installed(env: NonNullable<FindOptions["env"]>): Promise<{ path: string; source: string }[]> {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  const apps = ["Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome"];
  const home = env["HOME"] || homedir();
  const onMac =
    process.platform === "darwin"
      ? apps.flatMap((app) => [join("/Applications", app), join(home, "Applications", app)])
      : [];
  const candidates = [
    ...onPath.map((path) => ({ path, source: "PATH" })),
    ...onMac.map((path) => ({ path, source: "Applications" })),
    ...(await ofPlaywright(home)).map((path) => ({ path, source: "Playwright's cache" })),
  ];
  const there = await Promise.all(candidates.map(({ path }) => isExecutable(path)));
  return candidates.filter((_, at) => there[at]);
}

async function ofPlaywright(home: string): Promise<string[]> {
  const cache =
    process.platform === "darwin"
      ? join(home, "Library", "Caches", "ms-playwright")
      : join(home, ".cache", "ms-playwright");
  // Most machines have no such folder.
  const entries = await readdir(cache).catch(() => []);
  const versions = entries
    .filter((entry) => /^chromium-\d+$/.test(entry))
    .sort((a, b) => Number(b.slice(9)) - Number(a.slice(9)));
  const inside = ["chrome-linux64/chrome", "chrome-linux/chrome", "chrome-mac/Chromium.app/Contents/MacOS/Chromium"];
  return versions.flatMap((version) => inside.map((path) => join(cache, version, path)));
}

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** Starts it once: only a program that runs is a find (Ubuntu's `chromium-browser` without snap is there and does not). */
async function probe(path: string, source: string): Promise<Chromium> {
  const args = isRoot() ? ["--no-sandbox"] : [];
  const own = join(dirname(path), "fonts", "fonts.conf");
  const fonts: Record<string, string> = (await isReadable(own)) ? { FONTCONFIG_FILE: own } : {};
  const libraries = join(dirname(path), "al2023", "lib");
  try {
    return { path, args, env: fonts, version: await versionOf(path, fonts), source };
  } catch (error) {
    // The npm package brings the libraries that a bare server has not.
    if (!(await isReadable(libraries))) throw error;
    const env = { ...fonts, LD_LIBRARY_PATH: libraries };
    return { path, args, env, version: await versionOf(path, env), source };
  }
}

const isReadable = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function versionOf(path: string, env: Record<string, string>): Promise<string> {
  const { stdout } = await run(path, ["--version"], { env: { ...process.env, ...env }, timeout: versionTimeoutMs });
  const version = /\d+\.\d+\.\d+\.\d+/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`${path} --version said ${JSON.stringify(stdout.trim())}`);
  return version;
}
