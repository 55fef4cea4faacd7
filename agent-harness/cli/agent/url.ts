import { readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";

/*
 * `agent-cli <id> url`, the command that agents run most, in Node's own time: it reads the ledger and imports nothing of
 * ours. Whatever is out of the ordinary (no id, no ledger, another option) is left to the full program.
 */

/** What to print for `[id] url [--json]`; undefined when the full program has to look. */
export function quickUrl(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const words = argv.filter((word) => word !== "--json");
  const id = words.length === 2 ? words[0] : env["AGENT_ID"];
  if (words.at(-1) !== "url" || words.length > 2 || id === undefined || !/^[1-9][0-9]?$/.test(id)) return undefined;
  const folder = home(env);
  if (folder === undefined) return undefined;
  const urls = readUrls(join(folder, "stacks", id, "ledger.json"));
  if (urls === undefined) return undefined;
  touch(join(folder, "stacks", id, "used"));
  return argv.includes("--json") ? `${JSON.stringify(urls, null, 2)}\n` : urlLines(urls);
}

/** One line a URL. */
export function urlLines(urls: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(urls).map((name) => name.length));
  return Object.entries(urls)
    .map(([name, url]) => `${name.padEnd(width)}  ${url}\n`)
    .join("");
}

function readUrls(path: string): Record<string, string> | undefined {
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { urls: Record<string, string> }).urls;
  } catch {
    // No stack, or a ledger that cannot be read: the full program says which, and what to do.
    return undefined;
  }
}

/** As stacks/use.ts does it: a stack whose URL is asked for is in use. */
function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // One that was never ready: there is nothing to stop.
    return;
  }
}

/** The harness's home, as shared/paths.ts has it (a test holds the two together); importing it would cost more than the command. */
export function home(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env["AGENT_HARNESS_HOME"]) return env["AGENT_HARNESS_HOME"];
  if (process.getuid?.() === 0) return "/var/lib/agent-harness";
  return env["HOME"] ? join(env["HOME"], ".agent-harness") : undefined;
}
