/** The door of cli/: the three programs, run on a command line. */
import type { MainOptions } from "./execute.ts";
import { main, reportError } from "./main.ts";
import { agentProgram, harnessProgram, splitAgentId, verifyProgram } from "./programs.ts";

export type { OpenApi } from "./command.ts";
export { agentProgram, harnessProgram, verifyProgram } from "./programs.ts";

/** Runs `agent-harness`; returns the exit code. */
export const runHarness = (argv: readonly string[], options?: MainOptions): Promise<number> =>
  main(harnessProgram(), argv, options);

/** Runs `verify`; returns the exit code. */
export const runVerify = (argv: readonly string[], options?: MainOptions): Promise<number> =>
  main(verifyProgram(), argv, options);

/** Runs `agent-cli`; returns the exit code. */
export async function runAgentCli(argv: readonly string[], options: MainOptions = {}): Promise<number> {
  try {
    const { id, rest } = splitAgentId(argv);
    const env = { ...(options.env ?? process.env), ...(id === undefined ? {} : { AGENT_ID: String(id) }) };
    return await main(agentProgram(), rest, { ...options, env });
  } catch (thrown) {
    return reportError(thrown, argv.includes("--json"), options);
  }
}
