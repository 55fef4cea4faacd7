import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { ProviderName } from "../sessions/session.ts";
import { packageRoot } from "../shared/paths.ts";

/*
 * The real coding-agent programs, where a test may use them: from the folder of packages that
 * HARNESS_TEST_CLIS names, from scripts/agent-clis, which CI installs, or from the PATH. Suites that need one are skipped without it.
 */

/** Where each lies in its packages; the native program where there is one, since the packages' wrappers are filled in at install. */
const packaged: Record<ProviderName, string[]> = {
  "claude-code": [`@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`],
  codex: ["@openai/codex/bin/codex.js"],
  opencode: [`opencode-${process.platform}-${process.arch}/bin/opencode`],
  pi: ["@mariozechner/pi-coding-agent/dist/cli.js"],
};

const commands: Record<ProviderName, string> = {
  "claude-code": "claude",
  codex: "codex",
  opencode: "opencode",
  pi: "pi",
};

/** The real program of a provider; undefined, with a line on stderr, where it is not installed. */
export function findAgentCli(provider: ProviderName): string | undefined {
  const found = candidates(provider).find((path) => existsSync(path));
  if (found === undefined)
    process.stderr.write(`The tests with the real ${commands[provider]} are skipped: it is not here.\n`);
  return found;
}

function candidates(provider: ProviderName): string[] {
  const folders = [
    process.env["HARNESS_TEST_CLIS"],
    join(packageRoot(), "scripts", "agent-clis", "node_modules"),
  ].filter((folder) => folder !== undefined);
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, commands[provider]));
  return [...folders.flatMap((folder) => packaged[provider].map((path) => join(folder, path))), ...onPath];
}

/** What a coding agent under test may not see of our own environment: proxies and certificates of the machine, our credentials. */
const hidden =
  /(_proxy|_PROXY)$|^(NODE_EXTRA_CA_CERTS|NODE_OPTIONS|VITEST.*|TMUX.*|CLAUDE.*|ANTHROPIC.*|OPENAI.*|CODEX.*|OPENCODE.*|PI_.*)$/;

/** An environment for a coding agent under test: ours, without what would change how it runs, and a home of its own. */
export function agentCliEnv(home: string): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name, value]) => value !== undefined && !hidden.test(name));
  return { ...(Object.fromEntries(kept) as Record<string, string>), HOME: home, NO_PROXY: "127.0.0.1,localhost" };
}
