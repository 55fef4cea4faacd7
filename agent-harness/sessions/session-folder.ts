import { createHash } from "node:crypto";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { startTimeOf } from "../shared/process-tree.ts";
import type { KeeperPlan } from "./provider.ts";

/* What lies in the folder of a session, and who writes it. Read by the keeper too: nothing heavy is imported. */

/** The places of a session. */
export interface SessionFolder {
  id: string;
  /** The folder itself, 0700. */
  folder: string;
  /** What the keeper is to run, 0600: it holds the program's environment. Written by whoever starts a keeper. */
  order: string;
  /** Which process is the keeper, and why it failed where it did. Written by the keeper. */
  keeper: string;
  /** Every line that the program wrote or was told. Written by the keeper, which alone appends to it. */
  journal: string;
  /** What the keeper itself has to say. */
  log: string;
  /** Held by the keeper for as long as it lives, so that there is never a second one. */
  lock: string;
  /** Where the keeper listens. */
  socket: string;
}

/** A unix socket's path has to fit in 104 bytes on macOS, with the byte that ends it. */
const maxSocketLength = 103;

/** The places of a session, by its id. */
export function sessionFolder(home: string, id: string): SessionFolder {
  const folder = join(home, "sessions", id);
  const socket = join(folder, "keeper.sock");
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 12);
  // In a long home with a long id it would not fit there.
  const fits = Buffer.byteLength(socket) <= maxSocketLength;
  return placesIn(folder, { session: id, socket: fits ? socket : join(home, "k", `${hash}.sock`) });
}

/** The places in a session's folder. */
export function placesIn(folder: string, { session, socket }: Pick<KeeperOrder, "session" | "socket">): SessionFolder {
  return {
    id: session,
    folder,
    socket,
    order: join(folder, "plan.json"),
    keeper: join(folder, "keeper.json"),
    journal: join(folder, "journal.jsonl"),
    log: join(folder, "keeper.log"),
    lock: join(folder, "lock"),
  };
}

/** What plan.json holds. */
export interface KeeperOrder {
  session: string;
  /** Names this start of the program: a keeper that is started twice for the same run starts the program once. */
  run: string;
  socket: string;
  plan: KeeperPlan;
}

/** What keeper.json holds. */
export interface KeeperRecord {
  pid: number;
  /** When that process started, as text to compare: pids are used again. */
  started: string;
  run: string;
  /** Why the program could not be started. */
  failure?: { code: string; message: string };
}

/** Writes down what the keeper is to run. */
export async function writeOrder(place: SessionFolder, order: KeeperOrder): Promise<void> {
  await writeFileAtomic(place.order, JSON.stringify(order));
}

/** What a keeper is to run; its places are those of the folder that it was given. */
export async function readOrder(folder: string): Promise<KeeperOrder> {
  const path = join(folder, "plan.json");
  const order = parse<KeeperOrder>(
    await findText(path),
    (one) => typeof one.run === "string" && one.plan !== undefined,
  );
  if (order !== undefined) return order;
  throw new HarnessError("STATE_UNREADABLE", `${path} does not say what is to be run.`, {
    hint: "Delete the session and create it again.",
  });
}

/** The newest keeper of a session, living or not; undefined when there never was one. */
export async function findKeeperRecord(place: Pick<SessionFolder, "keeper">): Promise<KeeperRecord | undefined> {
  return parse<KeeperRecord>(await findText(place.keeper), (one) => typeof one.pid === "number");
}

/** Says which process is the keeper. */
export async function writeKeeperRecord(place: Pick<SessionFolder, "keeper">, record: KeeperRecord): Promise<void> {
  await writeFileAtomic(place.keeper, JSON.stringify(record));
}

/** The keeper of a session that lives now. */
export async function findKeeper(place: Pick<SessionFolder, "keeper">): Promise<KeeperRecord | undefined> {
  const record = await findKeeperRecord(place);
  return record !== undefined && (await startTimeOf(record.pid)) === record.started ? record : undefined;
}

function parse<T>(text: string | undefined, fits: (value: T) => boolean): T | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as T;
    return fits(value) ? value : undefined;
  } catch {
    // Only a power cut leaves half of one.
    return undefined;
  }
}
