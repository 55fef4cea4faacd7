export type { VerifyPlan } from "./plan.ts";
export { planStages } from "./plan.ts";
export type { StageReport, VerifyEvent, VerifyReport } from "./report.ts";
export { type VerifyOptions, verify } from "./verify.ts";
