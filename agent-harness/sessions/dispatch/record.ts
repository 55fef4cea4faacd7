import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorText } from "../../shared/errors.ts";
import { findText, setAside, writeFileAtomic } from "../../shared/files.ts";
import { ensureHome, type HomePaths } from "../../shared/paths.ts";

/*
 * What the process of a run leaves for the one that takes the run up again, should it be killed. The server cannot tell an
 * agent that was never there from one that was deleted, and with an agent its Idempotency-Key is forgotten.
 */

/** An agent that was there. Whatever has become of it since: its task may have been done, unless it was replaced. */
export interface KnownAgent {
  /** The newest event at the time of its creation. */
  lastEventId?: number | undefined;
  /** It never began: it is to be deleted, and the next attempt takes its place. */
  replaced?: true | undefined;
}

/** What a run knows of its agents from one process to the next, by their names. */
export interface RunRecord {
  knew(name: string): KnownAgent | undefined;
  /** Kept when it resolves. */
  note(name: string, agent: KnownAgent): Promise<void>;
}

/** Where a run's webhooks are received: kept, so that those of the agents that are there already still arrive. */
export interface ReceiverAddress {
  port: number;
  token: string;
}

/** The record of a run as a file. */
export interface RunRecordFile extends RunRecord {
  readonly receiver: ReceiverAddress | undefined;
  noteReceiver(address: ReceiverAddress): Promise<void>;
  /** The run is over. */
  forget(): Promise<void>;
}

const schema = z.object({
  receiver: z.object({ port: z.int().min(1).max(65_535), token: z.string() }).optional(),
  agents: z.record(z.string(), z.object({ lastEventId: z.number().optional(), replaced: z.literal(true).optional() })),
});

/** As long as idempotency keys are remembered; a run that nobody has taken up by then is forgotten. */
const keptMs = 7 * 24 * 3_600_000;

/** The record of a run that nothing outlives. */
export const openNoRecord = (): RunRecord => ({ knew: () => undefined, note: async () => undefined });

export interface RunRecordOptions {
  paths: HomePaths;
  runId: string;
  /** Told once when nothing can be kept; the run goes on all the same. */
  tell: (problem: string) => void;
}

/** Opens the record of a run in the home; nothing is written before there is something to keep. */
export async function openRunRecord({ paths, runId, tell }: RunRecordOptions): Promise<RunRecordFile> {
  const path = join(paths.dispatches, `${runId}.json`);
  let told = false;
  const orTell = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!told) tell(`this run is not kept, and could not be taken up rightly after a crash: ${errorText(error)}`);
      told = true;
    }
  };
  let kept: z.output<typeof schema> = { agents: {} };
  await orTell(async () => {
    await prune(paths.dispatches);
    kept = await read(path);
  });
  // One after the other, each with all that is known: agents are worked on at once.
  let last: Promise<void> = Promise.resolve();
  const save = async (): Promise<void> => {
    const write = async (): Promise<void> => {
      await ensureHome(paths);
      await writeFileAtomic(path, JSON.stringify(kept));
    };
    last = last.then(() => orTell(write));
    await last;
  };
  return {
    receiver: kept.receiver,
    knew: (name) => kept.agents[name],
    note: async (name, agent) => {
      kept.agents[name] = agent;
      await save();
    },
    noteReceiver: async (receiver) => {
      kept.receiver = receiver;
      await save();
    },
    forget: async () => await orTell(() => rm(path, { force: true })),
  };
}

async function read(path: string): Promise<z.output<typeof schema>> {
  const text = await findText(path);
  if (text === undefined) return { agents: {} };
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new Error(`${path} could not be understood, and is kept as ${await setAside(path)}`);
  }
}

async function prune(folder: string): Promise<void> {
  // Without the folder, or when another dispatch is quicker, there is nothing to do.
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > keptMs) await rm(path, { force: true });
  }
}
