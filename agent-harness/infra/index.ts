/** The door of infra/: the shared services of this machine, the template databases, and what is made in them. */
export { type BucketMarker, type Buckets, openBuckets } from "./buckets.ts";
export type { StackOnInfra } from "./choose-driver.ts";
export { lookAtDocker } from "./compose/look.ts";
export { probeCompose } from "./compose/probe.ts";
export {
  dropDatabase,
  endSessions,
  findDatabase,
  findDatabases,
  listDatabases,
  maintenanceDatabase,
  type Stamp,
  stampStatement,
  trashDatabase,
} from "./databases.ts";
export { infraDestroy, infraDown } from "./down.ts";
export { execInService } from "./exec.ts";
export { type BuildStep, fingerprintOf, type TemplateSource } from "./fingerprint.ts";
export { checkService } from "./health.ts";
export { infraIsUp } from "./is-up.ts";
export { dropLeftover, listLeftovers } from "./leftovers.ts";
export { infraLogs } from "./logs.ts";
export { type MailSummary, openMail } from "./mail.ts";
export { claimWith, readyCount, refillPool } from "./pool.ts";
export { type InfraPortHolder, listPortHolders } from "./port-holders.ts";
export { resolveInfra } from "./resolve.ts";
export { type DriverName, driverNames, type Infra, parseServiceId, type ServiceId, serviceIds } from "./services.ts";
export {
  fillBucket,
  findStrayBuckets,
  keepBucket,
  removeSnapshotBuckets,
  requireSnapshotBucket,
} from "./snapshot-buckets.ts";
export {
  copyAside,
  dropCopies,
  findCopies,
  findSnapshotDatabases,
  listSnapshotDatabases,
  putInPlace,
  requireSnapshotPlace,
  type SnapshotFacts,
  type SnapshotInfo,
  type StoredSnapshot,
  snapshotStamp,
} from "./snapshot-databases.ts";
export { whileAlone } from "./snapshot-sessions.ts";
export { isUnwritten, writtenStampOf } from "./snapshot-written.ts";
export { type Sql, type SqlResult, withSql } from "./sql.ts";
export { type InfraHealth, type InfraPlace, infraHealth, infraStatus, type ServiceStatus } from "./status.ts";
export { type ChosenStrategy, canReflink, chooseStrategy, readServerFacts, type ServerFacts } from "./strategy.ts";
export {
  builtAt,
  dropIdleTemplateDatabase,
  dropTemplateDatabase,
  ensureTemplateDatabase,
  listTemplateDatabases,
} from "./template-db.ts";
export { type InfraOptions, infraUp } from "./up.ts";
