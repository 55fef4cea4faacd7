/** The door of stacks/: one agent's environment, from its id to its processes. */

export { selectProcesses } from "./find-process.ts";
export { probe } from "./health.ts";
export { openInfraConfig, requireNoStacks } from "./infra-use.ts";
export { type LaunchOptions, type LaunchResult, launch, readyInfra } from "./launch.ts";
export { getLedger, type Ledger, type LedgerProcess } from "./ledger.ts";
export { followLogs, type LogLine, readLogs } from "./logs.ts";
export { type OpenStack, openStack } from "./open-stack.ts";
export { openProject, type Project } from "./project.ts";
export { refill } from "./refill.ts";
export { listClaims, type RegistryEntry } from "./registry.ts";
export { reset } from "./reset.ts";
export { restart } from "./restart.ts";
export { selectStack, stacksOf } from "./select.ts";
export { type SetupResult, setup } from "./setup.ts";
export { runQuery, type SlowQuery, slowQueries } from "./sql-query.ts";
export { readStackEnv, stackProcessEnv } from "./stack-env.ts";
export { type ProcessStats, stackStats } from "./stats.ts";
export { type StackProcessStatus, type StackStatus, stackStatus } from "./status.ts";
export { infraOf, type TeardownResult, teardown } from "./teardown.ts";
export { type ReadyTemplate, readyTemplate, templateSource } from "./template.ts";
export { dropTemplates, type TemplateStatus, templateStatus } from "./template-status.ts";
