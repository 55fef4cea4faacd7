/** The door of stacks/: one agent's environment, from its id to its processes. */

export { selectProcesses } from "./find-process.ts";
export { openInfraConfig, requireNoStacks, startInfra } from "./infra-use.ts";
export { type LaunchOptions, type LaunchResult, launch, readyInfra } from "./launch.ts";
export { getLedger, type Ledger } from "./ledger.ts";
export { followLogs, type LogLine, readLogs } from "./logs.ts";
export { openStack } from "./open-stack.ts";
export { openProject, type Project } from "./project.ts";
export { refill } from "./refill.ts";
export { listClaims } from "./registry.ts";
export { reset } from "./reset.ts";
export { restart } from "./restart.ts";
export { selectStack, stacksOf } from "./select.ts";
export { type SetupResult, setup } from "./setup.ts";
export { runQuery, type SlowQuery, slowQueries } from "./sql-query.ts";
export { readStackEnv, stackProcessEnv } from "./stack-env.ts";
export { stackInfra } from "./stack-infra.ts";
export { type ProcessStats, stackStats } from "./stats.ts";
export { type StackStatus, stackStatus } from "./status.ts";
export { type TeardownResult, teardown } from "./teardown.ts";
export { dropTemplates, type TemplateStatus, templateStatus } from "./template-status.ts";
export { emptyWorktreeTrash } from "./worktree-make.ts";
export type { WorktreeRequest } from "./worktree-request.ts";
