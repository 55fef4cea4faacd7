/** The door of infra/: the shared services of this machine, the template databases, and what is made in them. */
export { openBuckets } from "./buckets.ts";
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
export { serviceLog } from "./embedded.ts";
export { type BuildStep, fingerprintOf, type TemplateSource } from "./fingerprint.ts";
export { infraIsUp } from "./is-up.ts";
export { type MailSummary, openMail } from "./mail.ts";
export { claimWith, readyCount, refillPool } from "./pool.ts";
export { resolveInfra } from "./resolve.ts";
export { type Infra, parseServiceId, serviceIds } from "./services.ts";
export { type Sql, type SqlResult, withSql } from "./sql.ts";
export { infraStatus, type ServiceStatus } from "./status.ts";
export { type ChosenStrategy, chooseStrategy, readServerFacts, type ServerFacts } from "./strategy.ts";
export { builtAt, dropTemplateDatabase, ensureTemplateDatabase, listTemplateDatabases } from "./template-db.ts";
export { infraUp } from "./up.ts";
