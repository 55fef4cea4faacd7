import { execInService as execInInfra, type Infra, type ServiceId } from "../infra/index.ts";
import { bucketName, databaseName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import type { Ledger } from "./ledger.ts";
import { stackPlace } from "./stack-infra.ts";

export interface StackExecOptions {
  paths: HomePaths;
  ledger: Ledger;
  env: Readonly<Record<string, string | undefined>>;
  progress: Progress;
}

/**
 * Runs a program in the shared container of a service, with the stack's own place there in its environment, on our own
 * terminal or streams; returns its exit code.
 */
export async function execInService(
  { paths, ledger, env, progress }: StackExecOptions,
  service: ServiceId,
  argv: readonly string[],
): Promise<number> {
  const { infra, ...place } = await stackPlace(paths, ledger, env, progress);
  const { stdin, stdout, stderr } = process;
  const options = { agentId: ledger.id, env: placeIn(service, ledger.id, infra), stdin, stdout, stderr };
  return await execInInfra(place, service, argv, options);
}

/** What leads a program to the stack's own part of a service. Inside the container no password is asked for. */
function placeIn(service: ServiceId, id: number, infra: Infra): Record<string, string> {
  const own = { AGENT_ID: String(id) };
  if (service === "s3") return { ...own, S3_BUCKET: bucketName(id) };
  if (service !== "postgres") return own;
  // No history: the file would lie in the shared container, for all agents together.
  return { ...own, PGUSER: infra.postgres.user, PGDATABASE: databaseName(id), PSQL_HISTORY: "/dev/null" };
}
