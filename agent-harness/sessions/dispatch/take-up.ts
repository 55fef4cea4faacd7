import type { KnownAgent } from "./record.ts";
import { type Dispatched, projectOf, type Run } from "./run.ts";
import { findAgent, nameFor, requireOurs, type Spawned } from "./spawn.ts";

/** Where an earlier process of the same run was with one part of it. */
export interface Place {
  attempt: number;
  /** The agent of this attempt; it is to be created without one. */
  there?: Spawned | undefined;
  /** Deleted, and nobody knows what it had done; or it was to be deleted, since it did not begin. */
  lost?: "gone" | "stuck";
}

/**
 * Finds the attempt, of at most `most`, that a part of the run is at: the newest one that is there or was. Throws when the
 * server does not say whether one is there: it might be working on the task.
 */
export async function placeOf(run: Run, agent: Dispatched, most: number): Promise<Place> {
  if (!run.request.mayResume) return { attempt: 1 };
  for (let attempt = most; attempt >= 1; attempt -= 1) {
    const name = nameFor(run, { number: agent.number, attempt });
    const known = run.record.knew(name);
    // Its key gives the first one, if it is there.
    if (attempt === 1 && known === undefined) break;
    // In a project that we have just made there is no agent.
    const view = projectOf(run).created ? undefined : await findAgent(run, name);
    if (view !== undefined) return placeAt(run, attempt, { agent: view, lastEventId: known?.lastEventId }, known);
    if (known?.replaced) return { attempt: attempt + 1 };
    if (known !== undefined) return { attempt, lost: "gone" };
  }
  return { attempt: 1 };
}

function placeAt(run: Run, attempt: number, there: Spawned, known: KnownAgent | undefined): Place {
  // It may have been created a moment ago: its key tells what has happened since.
  if (known === undefined) return { attempt };
  requireOurs(there.agent, run.request);
  const isStuck = known.replaced && there.agent.status === "starting";
  return isStuck ? { attempt, there, lost: "stuck" } : { attempt, there };
}
