import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Those of the ports that a connection is on, in whatever state: one that ended within the last minute is still seen.
 * Listening is none.
 */
export async function connectedPorts(ports: readonly number[]): Promise<Set<number>> {
  const wanted = new Set(ports);
  const ends = process.platform === "linux" ? await endsOnLinux() : await endsByNetstat();
  return new Set(ends.flat().filter((port) => wanted.has(port)));
}

async function endsOnLinux(): Promise<number[][]> {
  const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map((table) => readFile(table, "utf8").catch(() => ""));
  return (await Promise.all(tables)).flatMap(readProcNet);
}

/** The two ports of each connection in a table of /proc/net. */
export function readProcNet(text: string): number[][] {
  return text.split("\n").flatMap((line) => {
    const [, local, remote, state] =
      /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2})/.exec(line) ?? [];
    // 0A is LISTEN.
    if (local === undefined || remote === undefined || state === "0A") return [];
    return [[Number.parseInt(local, 16), Number.parseInt(remote, 16)]];
  });
}

async function endsByNetstat(): Promise<number[][]> {
  const { stdout } = await run("netstat", ["-an", "-p", "tcp"], { maxBuffer: 16 * 1024 * 1024 });
  return readNetstat(stdout);
}

/** The two ports of each connection that `netstat -an` of macOS prints. */
export function readNetstat(text: string): number[][] {
  return text.split("\n").flatMap((line) => {
    const [kind = "", , , local = "", remote = "", state] = line.trim().split(/\s+/);
    if (!kind.startsWith("tcp") || state === undefined || state === "LISTEN") return [];
    return [[local, remote].map((end) => Number(/\.(\d+)$/.exec(end)?.[1] ?? 0))];
  });
}
