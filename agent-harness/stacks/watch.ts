import type { InfraHealth } from "../infra/index.ts";
import { type Aged, aged, readWhenChanged, turnstile } from "../shared/aged.ts";
import { lockHolder } from "../shared/lock.ts";
import { type MachineUse, openMachine } from "../shared/machine-use.ts";
import type { HomePaths } from "../shared/paths.ts";
import { sampleUsage, treePids, treeUsage, type UsageSample } from "../shared/process-usage.ts";
import { findProcesses, type ProcessStatus } from "../shared/processes.ts";
import { type GitState, gitState } from "./git-state.ts";
import { listeningHealth, notRunning, processHealth } from "./health.ts";
import { findVerdict, type LastVerify, verdictPath } from "./last-verify.ts";
import { findLedger, type Ledger, ledgerPath } from "./ledger.ts";
import { listClaims, type RegistryEntry, stackLock } from "./registry.ts";
import { describeProcess, describeStack, type StackProcessStatus, type StackStatus } from "./status.ts";

/*
 * The state of all stacks, looked at again and again, cheaply: one walk over the machine's processes a look for all of
 * them; what takes longer is asked behind the look's back, no more often than below, and shown as of its last answer.
 */

const pm2Ms = 2000;
const healthMs = 5000;
const infraMs = 10_000;
const gitMs = 10_000;
/** A file that has not changed is read again after this time, whatever its stamp says. */
const fileMs = 5000;
/** How many git processes may run at once. */
const gitsAtOnce = 2;

export interface WatchOptions {
  paths: HomePaths;
  /** Which stacks of the machine. */
  choose: (all: readonly RegistryEntry[]) => RegistryEntry[];
  askInfra: () => Promise<InfraHealth>;
}

/** One stack, and whether its processes have been asked yet. */
export type WatchedStack = StackStatus & { asked: boolean };

/** Everything at one instant. */
export interface WatchFrame {
  at: string;
  machine: MachineUse;
  /** Absent until it was asked, and when it cannot be. */
  infra?: InfraHealth;
  stacks: WatchedStack[];
}

export interface Watch {
  /** What is known now; never waits for an answer of a stack, of git or of infra. */
  look: () => Promise<WatchFrame>;
  /** Comes back when every question has been answered once. */
  ready: () => Promise<void>;
}

type Running = ReadonlyMap<string, ProcessStatus>;
/** Of a process: with which pid it was asked, and why it is not healthy. */
type Answers = ReadonlyMap<string, { pid: number | undefined; reason: string | undefined }>;

interface StackMemory {
  ledger: Ledger | undefined;
  /** What PM2 said when health was asked last; another answer is asked for at once. */
  seen: string;
  health: Aged<Answers>;
  readLedger: () => Promise<Ledger | undefined>;
  readVerdict: () => Promise<LastVerify | undefined>;
  readLock: () => ReturnType<typeof lockHolder>;
}

interface Memory {
  paths: HomePaths;
  pm2: Aged<Running>;
  infra: Aged<InfraHealth>;
  stacks: Map<number, StackMemory>;
  git: Map<string, Aged<GitState | undefined>>;
  gitTurn: ReturnType<typeof turnstile>;
  machine: () => Promise<MachineUse>;
  sample: UsageSample | undefined;
}

/** Begins to watch; nothing runs between two looks but what the last one asked for. */
export function openWatch({ paths, choose, askInfra }: WatchOptions): Watch {
  const memory: Memory = {
    paths,
    pm2: aged(pm2Ms, () => askPm2(paths)),
    infra: aged(infraMs, askInfra),
    stacks: new Map(),
    git: new Map(),
    gitTurn: turnstile(gitsAtOnce),
    machine: openMachine(paths.home),
    sample: undefined,
  };
  const look = async (): Promise<WatchFrame> => await lookOnce(memory, choose(await listClaims(paths)));
  return {
    look,
    ready: async () => {
      // Twice: only when PM2 has answered the processes can be asked.
      for (let round = 0; round < 2; round += 1) {
        await look();
        await settled(memory);
      }
    },
  };
}

async function settled({ pm2, infra, stacks, git }: Memory): Promise<void> {
  const own = [...stacks.values()].map((one) => one.health);
  await Promise.all([pm2, infra, ...own, ...git.values()].map((one) => one.settled()));
}

async function askPm2(paths: HomePaths): Promise<Running> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  return new Map(((await open?.list()) ?? []).map((one) => [one.name, one]));
}

async function lookOnce(memory: Memory, claims: readonly RegistryEntry[]): Promise<WatchFrame> {
  const before = memory.sample;
  const now = await sampleUsage();
  memory.sample = now;
  const running = lookAtPm2(memory.pm2, now);
  forgetGone(memory, claims);
  const stacks = claims.map(async (claim) => await lookAtStack(memory, claim, running, { now, before }));
  const infra = memory.infra.get();
  return {
    at: new Date().toISOString(),
    machine: await memory.machine(),
    ...(infra === undefined ? {} : { infra }),
    stacks: await Promise.all(stacks),
  };
}

/** What PM2 said last; asked again at once when a process that it named is gone. */
function lookAtPm2(pm2: Aged<Running>, { byPid }: UsageSample): Running | undefined {
  const known = pm2.get();
  const isGone = ({ pid }: ProcessStatus): boolean => pid !== undefined && !byPid.has(pid);
  if (known !== undefined && [...known.values()].some(isGone)) pm2.expire();
  return pm2.get();
}

function forgetGone(memory: Memory, claims: readonly RegistryEntry[]): void {
  for (const id of memory.stacks.keys()) if (!claims.some((one) => one.id === id)) memory.stacks.delete(id);
  for (const path of memory.git.keys()) if (!claims.some((one) => one.workdir === path)) memory.git.delete(path);
}

async function lookAtStack(
  memory: Memory,
  claim: RegistryEntry,
  running: Running | undefined,
  samples: { now: UsageSample; before: UsageSample | undefined },
): Promise<WatchedStack> {
  const { id, workdir } = claim;
  const own = memory.stacks.get(id) ?? newMemory(memory, id);
  memory.stacks.set(id, own);
  own.ledger = await own.readLedger();
  const git = memory.git.get(workdir) ?? aged(gitMs, () => memory.gitTurn(() => gitState(workdir)));
  memory.git.set(workdir, git);
  const [busy, verify] = await Promise.all([own.readLock(), own.readVerdict()]);
  const processes = running && own.ledger && lookAtProcesses(own, own.ledger, running, samples.now);
  const roots = processes?.processes.flatMap((one) => one.pid ?? []) ?? [];
  const facts = {
    ...(processes === undefined ? {} : { processes: processes.processes }),
    busy,
    verify,
    git: git.get(),
    usage: treeUsage(roots, samples.now, samples.before),
  };
  return { ...describeStack(claim, own.ledger, facts), asked: processes?.asked ?? own.ledger === undefined };
}

function newMemory(memory: Memory, id: number): StackMemory {
  const { paths } = memory;
  const lock = stackLock(paths, id);
  const own: StackMemory = {
    ledger: undefined,
    seen: "",
    health: aged(healthMs, () => askHealth(memory, own)),
    readLedger: readWhenChanged(ledgerPath(paths, id), fileMs, () => findLedger(paths, id)),
    readVerdict: readWhenChanged(verdictPath(paths, id), fileMs, () => findVerdict(paths, id)),
    // Whoever takes or frees it changes the folder. That a holder was killed is seen a little later.
    readLock: readWhenChanged(lock, fileMs, () => lockHolder(lock)),
  };
  return own;
}

async function askHealth({ pm2, sample }: Memory, { ledger }: StackMemory): Promise<Answers> {
  const running = pm2.get();
  // Watching must not keep a stack awake.
  const ask = ledger?.idleMs === undefined ? processHealth : listeningHealth;
  const answers = (ledger?.processes ?? []).map(async (process) => {
    const status = running?.get(process.name);
    const tree = status?.pid === undefined || sample === undefined ? [] : treePids([status.pid], sample);
    return [process.name, { pid: status?.pid, reason: await ask(process, status, tree) }] as const;
  });
  return new Map(await Promise.all(answers));
}

function lookAtProcesses(
  own: StackMemory,
  ledger: Ledger,
  running: Running,
  { byPid }: UsageSample,
): { processes: StackProcessStatus[]; asked: boolean } {
  const said = ledger.processes.map(({ name }) => running.get(name));
  const seen = JSON.stringify([ledger.updatedAt, ...said.map((one) => [one?.pid, one?.status])]);
  if (seen !== own.seen) own.health.expire();
  own.seen = seen;
  const answers = own.health.get();
  const processes = ledger.processes.map((process, at) => {
    const status = said[at];
    const answer = answers?.get(process.name);
    const pid = status?.pid;
    // Seen before PM2 tells of it, and before the process is asked again.
    const ended = pid !== undefined && !byPid.has(pid) ? "it ended a moment ago" : undefined;
    const restarted = answer !== undefined && answer.pid !== pid ? "it was started again a moment ago" : undefined;
    return describeProcess(process, status, notRunning(status) ?? ended ?? restarted ?? answer?.reason);
  });
  return { processes, asked: answers !== undefined };
}
