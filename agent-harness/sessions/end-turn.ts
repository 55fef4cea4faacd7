import { asHarnessError } from "../shared/errors.ts";
import { killAll } from "../shared/process-tree.ts";
import { connectKeeper } from "./keeper-client.ts";
import { findProcesses } from "./process-end.ts";
import type { SessionFolder } from "./session-folder.ts";

/** `ps` tells when a process started by the second. */
const secondMs = 1000;

/**
 * Ends what an interrupted turn has left running. Coding agents start the commands of their tools in process groups of their
 * own; what is in the program's group, and what was there before the turn, stays. So does what came with the turn after it,
 * if that has begun already.
 */
export async function endTurnProcesses(place: SessionFolder, turnAt: number, nextAt = Infinity): Promise<void> {
  const stays = await programsOf(place);
  if (stays === undefined) return;
  const found = await findProcesses({ folder: place.folder });
  const groups = new Set(found.filter(({ pid }) => stays.includes(pid)).map(({ group }) => group));
  const isOfTurn = (started: number): boolean =>
    started >= turnAt - (turnAt % secondMs) - secondMs && started < nextAt + secondMs;
  const left = found.filter(
    ({ pid, group, started }) => !stays.includes(pid) && !groups.has(group) && isOfTurn(Date.parse(started)),
  );
  await killAll(left, { graceMs: 500 });
}

/** The keeper and its programs; undefined when there is none that answers. */
async function programsOf(place: SessionFolder): Promise<number[] | undefined> {
  try {
    await using keeper = await connectKeeper(place.socket);
    const { pid, programs } = await keeper.status();
    return [pid, ...programs.map((one) => one.pid)];
  } catch (error) {
    if (asHarnessError(error).code === "KEEPER_GONE") return undefined;
    throw error;
  }
}
