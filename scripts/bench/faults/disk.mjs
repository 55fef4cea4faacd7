// (d) The disk is full in the middle of launches: a small tmpfs is the harness's home. Only root may mount one.
import { execFile } from "node:child_process";
import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { say } from "../bench.mjs";
import { faultsOf, holds, straysOf, tracesOf, write } from "./eyes.mjs";

const execute = promisify(execFile);
const mebibyte = 1024 * 1024;

/** How much is left free, from nothing to what a launch just cannot do with. */
const rooms = [0, 1, 4, 12, 20];

/** Mounts the disk over the bench's home; false where that is not possible. */
export async function mountDisk({ home, lastly }) {
  try {
    await execute("mount", ["-t", "tmpfs", "-o", "size=512m,mode=0711", "tmpfs", home]);
  } catch (error) {
    say(`no disk to fill: ${error.message}`);
    return false;
  }
  lastly.push(() => execute("umount", [home]));
  return true;
}

/** Runs the part. */
export async function fillDisk(world) {
  await world.ok("setup");
  await world.ok("launch", 81);
  await write(world, 81, "kept");
  for (const room of rooms) {
    for (const words of [
      ["launch", 82],
      ["reset", 82],
      ["teardown", 82],
    ]) {
      if (words[0] !== "launch") await world.ok("launch", 82);
      await whileFull(world, room * mebibyte, words);
    }
  }
  for (const id of [81, 82]) {
    await world.ok("teardown", id, "--no-snapshot");
    for (const trace of await tracesOf(world, id)) world.survived(`at the end: ${trace}`);
  }
}

async function whileFull(world, leave, words) {
  const filler = join(world.bench.home, "filler");
  await world.bench.quiet();
  await fill(world.bench.home, filler, leave);
  world.tally.kills += 1;
  const { code } = await world.run(...words);
  await rm(filler, { force: true });
  const when = `${words.join(" ")} with ${leave / mebibyte} MiB free (exit ${code})`;
  say(when);
  await world.ok("infra", "up");
  for (const id of [81, 82]) await world.ok("launch", id);
  for (const id of [81, 82]) for (const fault of await faultsOf(world, id)) world.lost(`${when}: ${fault}`);
  const { row, object } = await holds(world, 81, "kept");
  if (!row || !object) world.lost(`${when}: agent 81 has lost data: row ${row}, object ${object}`);
  await world.ok("teardown", 82, "--no-snapshot");
  for (const trace of await tracesOf(world, 82)) world.survived(`${when}: ${trace}`);
  await world.ok("gc");
  for (const stray of await straysOf(world)) world.survived(`${when}: ${stray}`);
}

/** Leaves this many bytes free. */
async function fill(home, filler, leave) {
  const { bavail, bsize } = await statfs(home);
  await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - leave)));
}
