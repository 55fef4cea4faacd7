import { type Infra, infraStatus, resolveInfra, type ServiceStatus } from "../infra/index.ts";
import { loadMachineInfra } from "../shared/config.ts";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import { type HomePaths, harnessHome, homePaths } from "../shared/paths.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import {
  type Check,
  countLevels,
  type DoctorContext,
  type Finding,
  fine,
  found,
  type Level,
  type Mendable,
  worstOf,
} from "./doctor/finding.ts";
import { checkMemory } from "./doctor/memory.ts";
import { checkOrphans } from "./doctor/orphans.ts";
import { checkInfraPorts, checkPorts } from "./doctor/ports.ts";
import { checkPrograms } from "./doctor/programs.ts";
import { checkServices, checkSupervisor } from "./doctor/services.ts";
import { checkReflink, checkSpace } from "./doctor/space.ts";
import { checkLedgers, checkLocks } from "./doctor/state.ts";
import { checkWatches } from "./doctor/watches.ts";
import { type Owners, readOwners } from "./gc/owners.ts";
import { type OpenPlace, openInfraConfig } from "./infra-use.ts";

/** Every group of checks, in the order in which they are shown and mended: infra before what needs it, gc last. */
const checks: readonly Check[] = [
  checkPrograms,
  checkSpace,
  checkMemory,
  checkWatches,
  checkReflink,
  checkServices,
  checkSupervisor,
  checkInfraPorts,
  checkPorts,
  checkLocks,
  checkLedgers,
  checkOrphans,
];

export interface DoctorOptions {
  env: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** `--config`. */
  config?: string | undefined;
  /** How many agents' ports are looked at. (Default: 5, and all that have a stack) */
  agents?: number;
  /** Mend what is ours to mend, and look again. */
  fix?: boolean;
  progress?: Progress;
}

/** One thing that `--fix` did, or could not do. */
export interface Mended {
  code: Finding["code"];
  /** The command that does the same. */
  fix: string;
  /** What was done; absent when it failed. */
  done?: string;
  /** Why it could not be done. */
  error?: string;
}

export interface DoctorReport {
  /** The worst of all. */
  level: Level;
  /** How many there are of each level. */
  counts: Record<Level, number>;
  findings: Finding[];
  /** What `--fix` did before it looked again; empty without it. */
  mended: Mended[];
}

/** Looks at everything that stacks need, and changes nothing; with `fix` it mends what is safe to mend, and looks again. */
export async function doctor(options: DoctorOptions): Promise<DoctorReport> {
  const paths = homePaths(harnessHome(options.env));
  const first = await look(paths, options);
  const mended = options.fix === true ? await mend(first, options.progress ?? silent) : [];
  const last = mended.length === 0 ? first : await look(paths, options);
  const findings = last.map(({ mend: _, ...finding }) => finding);
  return { level: worstOf(findings), counts: countLevels(findings), findings, mended };
}

async function look(paths: HomePaths, options: DoctorOptions): Promise<Mendable[]> {
  const { context, findings } = await openContext(paths, options);
  const all = await Promise.all(checks.map((check) => runCheck(check, context)));
  return [...findings, ...all.flat()];
}

/** A check that cannot be made is a finding, not the end of all others. */
async function runCheck(check: Check, context: DoctorContext): Promise<Mendable[]> {
  try {
    return await check(context);
  } catch (error) {
    return [ofError("DOCTOR_CHECK", asHarnessError(error))];
  }
}

const ofError = (
  code: "DOCTOR_CHECK" | "DOCTOR_STATE" | "DOCTOR_CONFIG" | "DOCTOR_HOME",
  { message, hint, code: of }: HarnessError,
) => found(code, "error", { what: message, cause: of, fix: (hint ?? "").replace(/^Run: /, "") });

/** Gathers what the checks work with; what cannot be had is a finding of its own. */
async function openContext(
  paths: HomePaths,
  options: DoctorOptions,
): Promise<{ context: DoctorContext; findings: Mendable[] }> {
  const { env, cwd = process.cwd(), config } = options;
  const findings: Mendable[] = [];
  const attempt = async <T>(code: Parameters<typeof ofError>[0], run: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof HarnessError)) throw error;
      findings.push(ofError(code, error));
      return undefined;
    }
  };
  const opened = await attempt("DOCTOR_CONFIG", () => openInfraConfig({ cwd, config, env }));
  const place: OpenPlace = opened ?? { config: loadMachineInfra({}), env };
  if (opened?.project !== undefined) findings.push(fine("DOCTOR_CONFIG", opened.project.path));
  const owners = await attempt("DOCTOR_STATE", () => readOwners(paths));
  const known = await attempt("DOCTOR_HOME", () => openInfra(paths, place));
  const context: DoctorContext = {
    paths,
    ...place,
    project: place.project,
    owners,
    infra: known?.infra,
    services: known?.services ?? [],
    agents: Math.max(options.agents ?? 5, ...ownIds(owners, place)),
    progress: options.progress ?? silent,
  };
  return { context, findings };
}

const ownIds = (owners: Owners | undefined, { project }: OpenPlace): number[] =>
  (owners?.claims ?? []).filter((one) => one.repository === project?.repository).map((one) => one.id);

/** The services, asked now; nothing where no infra was ever started, since asking would make the home and its credentials. */
async function openInfra(
  paths: HomePaths,
  place: OpenPlace,
): Promise<{ infra: Infra; services: ServiceStatus[] } | undefined> {
  if ((await findText(paths.credentials)) === undefined) return undefined;
  const infra = await resolveInfra(paths, place.config, place.env);
  return { infra, services: await infraStatus({ paths, ...place }) };
}

/** Each remedy once, however many findings it is for, one after the other. */
async function mend(findings: readonly Mendable[], progress: Progress): Promise<Mended[]> {
  const remedies = new Map(findings.flatMap((one) => (one.mend === undefined ? [] : [[keyOf(one), one] as const])));
  const mended: Mended[] = [];
  for (const { code, fix, mend: run } of remedies.values()) {
    try {
      const done = await withStep(
        progress,
        fix,
        async () => (await run?.()) ?? "",
        (text) => text,
      );
      mended.push({ code, fix, done });
    } catch (error) {
      mended.push({ code, fix, error: asHarnessError(error).message });
    }
  }
  return mended;
}

/** One `infra up` is for all services; each lock has its own. */
const keyOf = ({ code, fix, what }: Mendable): string => (code === "DOCTOR_LOCK_STALE" ? what : fix);
