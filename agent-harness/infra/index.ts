/** The door of infra/: the shared services of this machine, the template databases, and what is made in them. */
export { openBuckets } from "./buckets.ts";
export type { StackOnInfra } from "./choose-driver.ts";
export {
  dropDatabase,
  findDatabase,
  listDatabases,
  maintenanceDatabase,
  type Stamp,
  stampStatement,
  trashDatabase,
} from "./databases.ts";
export { infraDestroy, infraDown } from "./down.ts";
export { execInService } from "./exec.ts";
export { type BuildStep, fingerprintOf, type TemplateSource } from "./fingerprint.ts";
export { infraIsUp } from "./is-up.ts";
export { infraLogs } from "./logs.ts";
export { type MailSummary, openMail } from "./mail.ts";
export { claimWith, readyCount, refillPool } from "./pool.ts";
export { resolveInfra } from "./resolve.ts";
export { type DriverName, driverNames, type Infra, parseServiceId, type ServiceId, serviceIds } from "./services.ts";
export { type Sql, type SqlResult, withSql } from "./sql.ts";
export { type InfraPlace, infraStatus, type ServiceStatus } from "./status.ts";
export { type ChosenStrategy, chooseStrategy, readServerFacts, type ServerFacts } from "./strategy.ts";
export { builtAt, dropTemplateDatabase, ensureTemplateDatabase, listTemplateDatabases } from "./template-db.ts";
export { type InfraOptions, infraUp } from "./up.ts";
