import { parseAgentId } from "../shared/names.ts";
import { nearest } from "../shared/nearest.ts";
import { packageVersion } from "../shared/paths.ts";
import { selectStack, whileUsing } from "../stacks/index.ts";
import { env, mail, slowQueriesCommand } from "./agent/data.ts";
import { exec } from "./agent/exec.ts";
import { health, logs, restartCommand, stats, status, url } from "./agent/processes.ts";
import { psql } from "./agent/psql.ts";
import type { Command } from "./command.ts";
import { completeCommand, completionCommand } from "./completion.ts";
import { configCommand } from "./config.ts";
import { conflictsCommand } from "./conflicts.ts";
import { dispatchCommand } from "./dispatch.ts";
import { doctorCommand } from "./doctor.ts";
import { gcCommand } from "./gc.ts";
import {
  infraDestroyCommand,
  infraDownCommand,
  infraLogsCommand,
  infraStatusCommand,
  infraUpCommand,
} from "./infra.ts";
import { initCommand } from "./init.ts";
import { launchAllCommand, launchCommand, resetCommand } from "./launch.ts";
import { logsCommand } from "./logs.ts";
import type { Program } from "./main.ts";
import { reaperCommand } from "./reaper.ts";
import { serveCommand } from "./serve.ts";
import { setupCommand } from "./setup.ts";
import { snapshotDropCommand, snapshotListCommand, snapshotRestoreCommand, snapshotSaveCommand } from "./snapshot.ts";
import { homeOf } from "./stack-command.ts";
import { statusCommand } from "./status.ts";
import { teardownAllCommand, teardownCommand } from "./teardown.ts";
import { templateDbBuild, templateDbDrop, templateDbList, templateDbRefill, templateDbStatus } from "./template-db.ts";
import { usage } from "./usage.ts";
import { verifyCommand } from "./verify.ts";
import { worktreeEmptyTrash } from "./worktree.ts";

const names = { harness: "agent-harness", agent: "agent-cli", verify: "verify" } as const;

/** `agent-harness`: everything about the machine and its stacks. */
export const harnessProgram = (): Program => ({
  name: names.harness,
  takesConfig: true,
  description: "Gives every coding agent on this machine a development environment of its own.",
  version: packageVersion(),
  commands: [
    setupCommand,
    launchCommand,
    launchAllCommand,
    teardownCommand,
    teardownAllCommand,
    resetCommand,
    statusCommand,
    logsCommand,
    conflictsCommand,
    serveCommand,
    dispatchCommand,
    verifyCommand,
    snapshotSaveCommand,
    snapshotRestoreCommand,
    snapshotListCommand,
    snapshotDropCommand,
    templateDbStatus,
    templateDbBuild,
    templateDbList,
    templateDbDrop,
    templateDbRefill,
    infraUpCommand,
    infraDownCommand,
    infraStatusCommand,
    infraLogsCommand,
    infraDestroyCommand,
    doctorCommand,
    gcCommand,
    reaperCommand,
    worktreeEmptyTrash,
    configCommand,
    initCommand,
    completionCommand(Object.values(names)),
    completeCommand,
  ],
});

/** What an agent does with its own stack. */
const agentCommands: readonly Command[] = [
  logs,
  psql,
  stats,
  url,
  restartCommand,
  status,
  health,
  slowQueriesCommand,
  exec,
  env,
  mail,
];

/** The same command, during which its stack counts as used. */
const inUse = (one: Command): Command => ({
  ...one,
  run: async (args, options, context) => {
    const { env, cwd } = context;
    const paths = homeOf(context);
    const id = await selectStack({ paths, env, cwd });
    return await whileUsing(paths, id, () => one.run(args, options, context));
  },
});

/** `agent-cli [id] <command>`: one stack, from the inside. */
export const agentProgram = (): Program => ({
  name: names.agent,
  description:
    "Works on one agent's stack: agent-cli [id] <command>. Without an id: AGENT_ID, or the stack of this folder.",
  version: packageVersion(),
  commands: agentCommands.map(inUse),
  passThrough: ["exec"],
});

/** `verify [id]`: one command, a program of its own. */
export const verifyProgram = (): Program => ({
  name: names.verify,
  description: verifyCommand.summary,
  version: packageVersion(),
  commands: [verifyCommand],
});

/** Splits `agent-cli`'s leading id off. Whatever stands where an id may stand and is no command has to be one. */
export function splitAgentId(argv: readonly string[]): { id: number | undefined; rest: string[] } {
  const [first, ...rest] = argv;
  const isCommand = agentCommands.some((one) => one.usage.split(" ")[0] === first);
  if (first === undefined || isCommand || first === "help" || (first.startsWith("-") && !/^-\d/.test(first))) {
    return { id: undefined, rest: [...argv] };
  }
  const near = nearest(
    first,
    agentCommands.map((one) => one.usage.replace(/ .*/, "")),
  );
  if (near !== undefined) throw usage(`agent-cli has no command "${first}".`, `Did you mean: agent-cli ${near}`);
  return { id: parseAgentId(first), rest };
}
