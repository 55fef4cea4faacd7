import type { Infra, ServiceStatus } from "../../infra/index.ts";
import type { InfraConfig } from "../../shared/config-schema.ts";
import type { HomePaths } from "../../shared/paths.ts";
import type { Progress } from "../../shared/progress.ts";
import type { Owners } from "../gc/owners.ts";
import type { Project } from "../project.ts";

/** How bad a finding is, the least first. */
export const levels = ["ok", "note", "warning", "error"] as const;
export type Level = (typeof levels)[number];

/** What a finding is about. A code is permanent. */
export const doctorCodes = [
  "DOCTOR_NODE",
  "DOCTOR_GIT",
  "DOCTOR_PS",
  "DOCTOR_TMUX",
  "DOCTOR_DOCKER",
  "DOCTOR_COMPOSE",
  "DOCTOR_CONFIG",
  "DOCTOR_HOME",
  "DOCTOR_STATE",
  "DOCTOR_CHECK",
  "DOCTOR_DISK",
  "DOCTOR_INODES",
  "DOCTOR_MEMORY",
  "DOCTOR_WATCHES",
  "DOCTOR_REFLINK",
  "DOCTOR_INFRA",
  "DOCTOR_PM2",
  "DOCTOR_INFRA_PORTS",
  "DOCTOR_PORTS",
  "DOCTOR_LOCK_STALE",
  "DOCTOR_WORKDIR_GONE",
  "DOCTOR_CONFIG_GONE",
  "DOCTOR_STACK_STUCK",
  "DOCTOR_STACKS",
  "DOCTOR_CLAIM_ALONE",
  "DOCTOR_LEDGER_ALONE",
  "DOCTOR_ORPHANS",
] as const;
export type DoctorCode = (typeof doctorCodes)[number];

/** One thing that doctor looked at. */
export interface Finding {
  code: DoctorCode;
  level: Level;
  /** What is so, with the real names. */
  what: string;
  /** Why it is so, or what it leads to; empty where all is well. */
  cause: string;
  /** The command that mends it; empty where there is nothing to mend. */
  fix: string;
  /** Whether `doctor --fix` does it. */
  fixable: boolean;
}

/** A finding with what mends it: done by `--fix`, it answers with what it did. */
export interface Mendable extends Finding {
  mend?: () => Promise<string>;
}

/** What every check knows. */
export interface DoctorContext {
  paths: HomePaths;
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
  project: Project | undefined;
  /** Absent when the registry or a ledger cannot be read: then nothing can be said of stacks. */
  owners: Owners | undefined;
  /** Absent where infra was never started from this home. */
  infra: Infra | undefined;
  services: readonly ServiceStatus[];
  /** The ids from 1 that are looked at. */
  agents: number;
  progress: Progress;
}

/** One group of checks. It changes nothing. */
export type Check = (context: DoctorContext) => Promise<Mendable[]>;

/** A finding that all is well. */
export const fine = (code: DoctorCode, what: string): Mendable => ({
  code,
  level: "ok",
  what,
  cause: "",
  fix: "",
  fixable: false,
});

/** A finding that something is not; with `mend`, doctor can see to it itself. */
export const found = (
  code: DoctorCode,
  level: Exclude<Level, "ok">,
  { what, cause, fix, mend }: { what: string; cause: string; fix: string; mend?: (() => Promise<string>) | undefined },
): Mendable => ({
  code,
  level,
  what,
  cause,
  fix,
  fixable: mend !== undefined,
  ...(mend === undefined ? {} : { mend }),
});

/** The worst level among findings. */
export const worstOf = (findings: readonly Pick<Finding, "level">[]): Level =>
  levels[Math.max(0, ...findings.map((one) => levels.indexOf(one.level)))] ?? "ok";

/** How many findings there are of each level. */
export function countLevels(findings: readonly Pick<Finding, "level">[]): Record<Level, number> {
  const counts = { ok: 0, note: 0, warning: 0, error: 0 };
  for (const { level } of findings) counts[level] += 1;
  return counts;
}
