/** The public API: what another program may import from the package. */
export { type Infra, infraDown, infraStatus, infraUp, type ServiceStatus } from "./infra/index.ts";
export { type ErrorCode, type ErrorKind, errorCodes, HarnessError } from "./shared/errors.ts";
export type { Progress, ProgressEvent } from "./shared/progress.ts";
export {
  dropSnapshot,
  type LaunchOptions,
  type LaunchResult,
  launch,
  listSnapshots,
  openProject,
  type Project,
  reset,
  restoreSnapshot,
  saveSnapshot,
  setup,
  stackStatus,
  teardown,
} from "./stacks/index.ts";
export { type VerifyOptions, type VerifyPlan, type VerifyReport, verify } from "./verify/index.ts";
