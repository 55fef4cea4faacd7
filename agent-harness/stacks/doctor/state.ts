import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorNumber } from "../../shared/errors.ts";
import { deadHolder, lockHolder, withLock } from "../../shared/lock.ts";
import type { Ledger } from "../ledger.ts";
import { type RegistryEntry, stackLock } from "../registry.ts";
import { teardown } from "../teardown.ts";
import { type Check, type DoctorContext, fine, found, type Mendable } from "./finding.ts";

/** Locks whose holder was killed. They hold nobody up. */
export const checkLocks: Check = async ({ paths }) => {
  const folder = join(paths.home, "locks");
  const names = await readdir(folder).catch(() => []);
  const locks = [...names.map((name) => join(folder, name)), join(paths.pm2, "lock")];
  const dead = await Promise.all(locks.map(async (lock) => ({ lock, holder: await deadHolder(lock) })));
  return dead.flatMap(({ lock, holder }): Mendable[] => {
    if (holder === undefined) return [];
    const mend = async (): Promise<string> => {
      await withLock(lock, { doing: "doctor --fix", timeoutMs: 0 }, async () => undefined);
      return `${lock} is free`;
    };
    const what = `the lock ${lock} is that of pid ${holder.pid}, which is gone`;
    const cause = `it was killed at "${holder.doing}"; the next command takes the lock at once`;
    return [found("DOCTOR_LOCK_STALE", "note", { what, cause, fix: "agent-harness doctor --fix", mend })];
  });
};

/** Whether what is written down of each stack can be true. */
export const checkLedgers: Check = async (context) => {
  const { owners, paths } = context;
  if (owners === undefined) return [];
  const ids = [...new Set([...owners.claims, ...owners.ledgers].map((one) => one.id))].sort((a, b) => a - b);
  const findings = ids.map(async (id): Promise<Mendable[]> => {
    // Somebody is just changing it.
    if ((await lockHolder(stackLock(paths, id))) !== undefined) return [];
    const ledger = owners.ledgers.find((one) => one.id === id);
    const claim = owners.claims.find((one) => one.id === id);
    if (ledger !== undefined) return await judgeLedger(ledger, claim, context);
    return claim === undefined ? [] : [await judgeClaim(claim, context)];
  });
  const all = (await Promise.all(findings)).flat();
  return all.length > 0
    ? all
    : [fine("DOCTOR_STACKS", `${ids.length} stack${ids.length === 1 ? "" : "s"} in the registry`)];
};

async function judgeLedger(
  ledger: Ledger,
  claim: RegistryEntry | undefined,
  context: DoctorContext,
): Promise<Mendable[]> {
  const { id, workdir, configPath, status } = ledger;
  if (!(await isThere(workdir))) return [await workdirGone(ledger, context)];
  if (!(await isThere(configPath))) {
    return [
      found("DOCTOR_CONFIG_GONE", "warning", {
        what: `the config of agent ${id}, ${configPath}, is gone`,
        cause: "it can be neither launched nor reset",
        fix: `git -C ${workdir} checkout -- ${configPath}, or: agent-harness teardown ${id}`,
      }),
    ];
  }
  if (status === "tearing-down") {
    const what = `the teardown of agent ${id} was not finished`;
    const mend = (): Promise<string> => takeAway(id, context);
    return [found("DOCTOR_STACK_STUCK", "warning", { what, cause: killed, fix: `agent-harness teardown ${id}`, mend })];
  }
  if (status === "launching") {
    const what = `the launch of agent ${id} was not finished`;
    const fix = `agent-harness launch ${id}, or: agent-harness teardown ${id}`;
    return [found("DOCTOR_STACK_STUCK", "warning", { what, cause: killed, fix })];
  }
  if (claim !== undefined) return [];
  const what = `agent ${id} has a ledger and no claim on its id`;
  const cause = "the registry was lost; the id is not given to others while the ledger is there";
  return [found("DOCTOR_LEDGER_ALONE", "warning", { what, cause, fix: `agent-harness launch ${id}` })];
}

const killed = "whoever was at it was killed";

/** Its files are gone; a worktree's commits are in the repository still, and the data can be kept as a snapshot. */
async function workdirGone({ id, workdir }: Ledger, context: DoctorContext): Promise<Mendable> {
  // A folder that was deleted has left the one that it was in. Else a disk may only not be mounted.
  const deleted = await isThere(dirname(workdir));
  const cause = deleted
    ? "it was deleted while the stack was up"
    : `${dirname(workdir)} is gone too: is a disk not mounted?`;
  return found("DOCTOR_WORKDIR_GONE", "error", {
    what: `the folder of agent ${id}, ${workdir}, is gone`,
    cause,
    fix: `agent-harness teardown ${id}`,
    mend: deleted ? () => takeAway(id, context) : undefined,
  });
}

/** As a person would by hand, without force: unsaved work stops it. */
async function takeAway(id: number, { paths, env, progress }: DoctorContext): Promise<string> {
  const { removed } = await teardown({ paths, id, env, progress });
  return `agent ${id} is torn down (${removed.length} things)`;
}

/** A claim without a ledger: of a launch killed at its very beginning, or of a stack whose ledger was lost. */
async function judgeClaim({ id, workdir }: RegistryEntry, context: DoctorContext): Promise<Mendable> {
  const { paths, env, progress } = context;
  const left = await teardown({ paths, id, env, progress, dryRun: true }).then(
    (would) => would.removed.filter((one) => !one.startsWith("the claim on")),
    // It cannot be asked for, with infra down, say.
    () => undefined,
  );
  const nothing = left?.length === 0;
  return found("DOCTOR_CLAIM_ALONE", "warning", {
    what: `agent ${id} is claimed for ${workdir} and has no ledger`,
    cause: nothing
      ? "its launch was killed at the beginning: nothing is there"
      : `its ledger was lost${left === undefined ? "" : `; there is ${left.join(", ")}`}`,
    fix: `agent-harness launch ${id}, or: agent-harness teardown ${id}`,
    mend: nothing ? () => takeAway(id, context) : undefined,
  });
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    // Not to be looked into is not gone.
    (error: unknown) => !["ENOENT", "ENOTDIR"].includes(errorNumber(error) ?? ""),
  );
}
