import { parseServiceId } from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { findExecutable } from "../../shared/words.ts";
import { execInService, type Ledger, stackProcessEnv } from "../../stacks/index.ts";
import { type CommandContext, command } from "../command.ts";
import { homeOf, ledgerOf } from "../stack-command.ts";
import { runForeground } from "./foreground.ts";

export const exec = command<number>({
  usage: "exec <command...>",
  summary: "run a program with the stack's environment, in its working directory; its exit code is ours",
  options: [["--in <service>", "in the shared container of that service instead (with the driver compose)"]],
  ownJson: true,
  run: async (words, options, context) => {
    const argv = words.flatMap((word) => word ?? []);
    const { in: given } = options;
    const service = given === undefined ? undefined : parseServiceId(String(given));
    const ledger = await ledgerOf(undefined, context);
    if (service === undefined) return await execHere(ledger, argv, context);
    return await execInService({ ...context, paths: homeOf(context), ledger }, service, argv);
  },
  exitCode: (code) => code,
});

/** On this machine, as ADR 0006 says. */
async function execHere(ledger: Ledger, [program = "", ...args]: string[], context: CommandContext): Promise<number> {
  const env = await stackProcessEnv(ledger);
  const path = (env["PATH"] ?? "").split(":");
  const found = program === "node" ? process.execPath : await findExecutable(program, { cwd: ledger.workdir, path });
  if (found === undefined) {
    throw new HarnessError("EXECUTABLE_NOT_FOUND", `There is no program "${program}" to run in ${ledger.workdir}.`, {
      hint: "A shell's own words need a shell: agent-cli exec sh -c '…'",
    });
  }
  // A terminal program needs to know its terminal; everything else is the stack's.
  const terminal = context.env["TERM"] === undefined ? {} : { TERM: context.env["TERM"] };
  return await runForeground(found, args, ledger.workdir, { ...env, ...terminal });
}
