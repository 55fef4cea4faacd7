import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { asHarnessError, errorText } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { startTimeOf } from "../shared/process-tree.ts";
import { Keeper } from "./keeper-process.ts";
import { endProcesses } from "./process-end.ts";
import {
  findKeeperRecord,
  type KeeperOrder,
  placesIn,
  readOrder,
  type SessionFolder,
  writeKeeperRecord,
} from "./session-folder.ts";

/* The keeper's program: node keeper-main.js <folder of the session>. keeper.ts starts it. */

// Small at the price of some speed: there is one a session. As an argument of Node it would cost 15 ms at each start, since with
// other flags V8 does not take the code that was compiled into Node.
setFlagsFromString("--semi-space-growth-factor=1");

/** How long the keeper before us may take to come to its end, in ms. */
const beforeUsMs = 20_000;

async function main(folder: string): Promise<void> {
  const log = (text: string): void =>
    appendFileSync(join(folder, "keeper.log"), `${new Date().toISOString()} ${text}\n`);
  // Nothing that goes wrong beside it may end the program that is kept.
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => log(`${event}: ${error instanceof Error ? error.stack : String(error)}`));
  }
  const order = await readOrder(folder);
  const place = placesIn(folder, order);
  try {
    const lock = { doing: `keeping session ${order.session}`, timeoutMs: beforeUsMs };
    await withLock(place.lock, lock, async () => await keep(place, order, log));
  } catch (error) {
    const { code, message, hint } = asHarnessError(error);
    log([code, message, hint].filter((one) => one !== undefined).join(" "));
    process.exitCode = 1;
  }
}

async function keep(place: SessionFolder, order: KeeperOrder, log: (text: string) => void): Promise<void> {
  const before = await findKeeperRecord(place);
  // Somebody asked twice, and the first keeper has done it.
  if (before?.run === order.run) return;
  // What a killed keeper left behind would work beside what we start.
  if (before !== undefined) await endProcesses({ folder: place.folder });
  const keeper = new Keeper(place, order, log);
  process.on("SIGTERM", () => void keeper.end());
  process.on("SIGHUP", () => keeper.hangUp());
  try {
    await keeper.run();
  } catch (error) {
    const { code, message } = asHarnessError(error);
    const started = (await startTimeOf(process.pid)) ?? "";
    await writeKeeperRecord(place, { pid: process.pid, started, run: order.run, failure: { code, message } });
    throw error;
  }
}

// What a person types in the window is for the program in it; who started us may be gone, and with it its terminal.
for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTSTP"] as const) process.on(signal, () => undefined);

const [, , folder] = process.argv;
if (folder === undefined) {
  process.stderr.write("Usage: keeper-main.js <folder of a session>\n");
  process.exitCode = 2;
} else {
  await main(folder).catch((error: unknown) => {
    process.stderr.write(`${errorText(error)}\n`);
    process.exitCode = 1;
  });
  // A process that could not be ended may hold the output of the program open.
  process.exit();
}
