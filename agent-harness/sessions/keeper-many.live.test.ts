import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { lineProgram, linesOf, openKeepers, untilEnded, untilLine } from "../testing/keepers.ts";
import { findKeeper, type SessionFolder } from "./session-folder.ts";

/** What a process has for itself, in MB, and with what it shares (the program of node itself). */
async function memoryOf(pid: number): Promise<{ own: number; all: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const read = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  return { own: read("RssAnon"), all: read("VmRSS") };
}

/** The same of a node that runs nothing: it depends on the version and the machine. */
async function bareMemory(): Promise<{ own: number; all: number }> {
  const bare = spawn(process.execPath, ["-e", 'console.log("up"); setInterval(() => {}, 1000)'], { stdio: "pipe" });
  try {
    await once(bare.stdout, "data");
    return await memoryOf(bare.pid ?? 0);
  } finally {
    bare.kill("SIGKILL");
    await once(bare, "exit");
  }
}

test("50 keepers at once: each program gets its lines and gives its own, and each keeper is small", async () => {
  await using keepers = await openKeepers();
  const places = Array.from({ length: 50 }, () => keepers.place());
  await Promise.all(places.map((place) => keepers.start(place, { backend: lineProgram() })));
  const talk = async (place: SessionFolder): Promise<void> => {
    const client = await keepers.connect(place);
    for (let at = 0; at < 20; at += 1) await client.write(`${place.id} ${at}`, `k${at}`);
    await untilLine(place, `got ${place.id} 19`, 60_000);
  };
  await Promise.all(places.map(talk));
  for (const place of places) {
    const got = (await linesOf(place, "stdout")).slice(1);
    expect(got).toEqual(Array.from({ length: 20 }, (_, at) => `got ${place.id} ${at}`));
  }
  if (process.platform === "linux") {
    const bare = await bareMemory();
    const used = await Promise.all(places.map(async (place) => memoryOf((await findKeeper(place))?.pid ?? 0)));
    expect(Math.max(...used.map(({ own }) => own))).toBeLessThan(2.5 * bare.own);
    expect(Math.max(...used.map(({ all }) => all))).toBeLessThan(1.4 * bare.all);
  }
  await Promise.all(
    places.map(async (place) => {
      await (await keepers.connect(place)).write("exit 0", "end");
      expect(await untilEnded(place, 60_000)).toEqual({ code: 0, signal: null });
    }),
  );
});
