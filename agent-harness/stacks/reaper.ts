import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { infraIsUp } from "../infra/index.ts";
import { connectedPorts } from "../shared/connections.ts";
import { errorText, HarnessError } from "../shared/errors.ts";
import { lockHolder } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { silent } from "../shared/progress.ts";
import { reaperInterval } from "../shared/settings.ts";
import type { Ledger } from "./ledger.ts";
import { idleText, isOver, mayIdle } from "./lifetime.ts";
import { becomeReaper, endReaper, listWatched } from "./reaper-process.ts";
import { stackLock } from "./registry.ts";
import { infraOf } from "./stack-infra.ts";
import { stopStack } from "./stop.ts";
import { teardown } from "./teardown.ts";
import { hasUsers, lastUsed, touchStack } from "./use.ts";

/** How many looks pass before a teardown that was refused is tried again. */
const looksBetweenTries = 20;

interface Reaper {
  paths: HomePaths;
  env: Readonly<Record<string, string | undefined>>;
  /** When we began to watch: before that, nobody has seen who used a stack. */
  since: number;
  look: number;
  /** By agent id: at which look the teardown of a stack may be tried again. */
  refused: Map<number, number>;
  /** By agent id: what was logged last, which is not said twice. */
  logged: Map<number, string>;
}

/** Watches the stacks that have a limit until none is left: stops those that are idle, tears down those whose time is over. */
export async function runReaper(paths: HomePaths, env: Reaper["env"]): Promise<void> {
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  if (!(await becomeReaper(paths))) return;
  const reaper: Reaper = { paths, env, since: Date.now(), look: 0, refused: new Map(), logged: new Map() };
  for (; ; reaper.look += 1) {
    const watched = await listWatched(paths);
    for (const ledger of watched) {
      // What fails with one stack is tried again, and does not concern the others.
      await reap(reaper, ledger).catch((error: unknown) => log(reaper, ledger.id, `failed: ${errorText(error)}`));
    }
    if (watched.length === 0 && (await endReaper(paths))) return;
    await delay(reaperInterval(env));
  }
}

async function reap(reaper: Reaper, ledger: Ledger): Promise<void> {
  const { paths, env } = reaper;
  const { id } = ledger;
  // Somebody works on it; the limits may be others afterwards.
  if ((await lockHolder(stackLock(paths, id))) !== undefined) return;
  if (isOver(ledger, Date.now())) return await takeAway(reaper, ledger);
  if (!mayIdle(ledger) || (await whyIdle(reaper, ledger)) === undefined) return;
  const why = async (now: Ledger) => (mayIdle(now) ? await whyIdle(reaper, now) : undefined);
  const reason = await stopStack({ paths, id, env, why });
  if (reason !== undefined) await log(reaper, id, `stopped: ${reason}`);
}

/** That a stack is idle, in words; undefined while somebody uses it, which is noted. */
async function whyIdle({ paths, since }: Reaper, ledger: Ledger): Promise<string | undefined> {
  const { id, ports, updatedAt } = ledger;
  const connected = (await connectedPorts(Object.values(ports))).size > 0;
  if (connected || (await hasUsers(paths, id))) {
    await touchStack(paths, id);
    return undefined;
  }
  const usedAt = Math.max((await lastUsed(paths, id)) ?? Date.parse(updatedAt), since);
  return idleText(ledger, usedAt, Date.now());
}

/** Tears a stack down whose time is over. One that cannot be, since work would be lost or infra is down, is only stopped. */
async function takeAway(reaper: Reaper, ledger: Ledger): Promise<void> {
  const { paths, env, refused, look } = reaper;
  const { id, expiresAt } = ledger;
  if (look < (refused.get(id) ?? 0)) return;
  refused.set(id, look + looksBetweenTries);
  const { gone, hindrance } = await tryTeardown(reaper, ledger);
  if (gone) {
    refused.delete(id);
    return await log(reaper, id, `torn down: its time was over at ${expiresAt}`);
  }
  const reason = `its time was over at ${expiresAt}, and it was not torn down: ${hindrance}`;
  const why = async (now: Ledger) => {
    const isNews = isOver(now, Date.now()) && now.stopped?.reason !== reason;
    // What a teardown began, only a teardown may end.
    return isNews && hindrance !== undefined && now.status !== "tearing-down" ? reason : undefined;
  };
  if ((await stopStack({ paths, id, env, why })) !== undefined) await log(reaper, id, `stopped: ${reason}`);
}

/** Whether a stack was torn down, or why it could not be; neither when it has got more time meanwhile. */
async function tryTeardown(
  { paths, env }: Reaper,
  { id, configPath }: Ledger,
): Promise<{ gone: boolean; hindrance?: string }> {
  const infra = await infraOf(paths, configPath, env, silent);
  if (!(await infraIsUp(paths, infra))) return { gone: false, hindrance: "infra is down." };
  try {
    const { removed } = await teardown({ paths, id, env, isWanted: (now) => isOver(now, Date.now()) });
    return { gone: removed.length > 0 };
  } catch (error) {
    if (error instanceof HarnessError && keeps.includes(error.code)) return { gone: false, hindrance: error.message };
    throw error;
  }
}

/** What says that a stack or its worktree must not be taken away. */
const keeps: readonly string[] = ["STACK_IN_USE", "WORK_UNSAVED", "WORKTREE_TAKEN"];

async function log({ paths, logged }: Reaper, id: number, text: string): Promise<void> {
  if (logged.get(id) === text) return;
  logged.set(id, text);
  await appendFile(join(paths.logs, "reaper.log"), `${new Date().toISOString()} agent ${id} ${text}\n`, {
    mode: 0o600,
  });
}
