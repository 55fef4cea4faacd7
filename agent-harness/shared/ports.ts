import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { errorNumber, HarnessError } from "./errors.ts";
import { listProcesses } from "./process-tree.ts";

const run = promisify(execFile);

/** Who listens on a port; what the system does not show us (another user's process) is missing. */
export interface PortHolder {
  pid?: number;
  command?: string;
}

/** Whether nobody listens on this port of 127.0.0.1 or ::1. */
export async function isPortFree(port: number): Promise<boolean> {
  if (!(await canListen(port, "127.0.0.1")) || !(await canListen(port, "::1"))) return false;
  // macOS lets one bind an address while another listens on all of them.
  return process.platform === "linux" || (await listeners([port])).length === 0;
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => {
      const code = errorNumber(error);
      if (code === "EADDRINUSE") resolve(false);
      // A machine without IPv6 has no ::1 to be taken.
      else if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") resolve(true);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Throws PORT_TAKEN, naming the holder's pid and command line, unless every port is free. */
export async function requireFreePorts(ports: Readonly<Record<string, number>>, hint: string): Promise<void> {
  for (const [name, port] of Object.entries(ports)) {
    if (await isPortFree(port)) continue;
    const holder = await findPortHolder(port);
    const who =
      holder?.pid === undefined
        ? "a process that this user cannot see"
        : `pid ${holder.pid} (${holder.command ?? "?"})`;
    throw new HarnessError("PORT_TAKEN", `Port ${port} (${name}) is in use by ${who}.`, {
      hint,
      context: { port, name, ...holder },
    });
  }
}

/** The process that listens on a port, as far as the system shows it; undefined when nobody listens. */
export async function findPortHolder(port: number): Promise<PortHolder | undefined> {
  const [listener] = await listeners([port]);
  if (listener === undefined) return (await isPortFree(port)) ? undefined : {};
  const info = (await listProcesses()).find((one) => one.pid === listener.pid);
  return { pid: listener.pid, ...(info === undefined ? {} : { command: info.command.slice(0, 200) }) };
}

/** The pids that listen on these ports; pass the pids of interest to look at these only, which is faster. */
export async function listeners(
  ports: readonly number[],
  among?: readonly number[],
): Promise<{ port: number; pid: number }[]> {
  return process.platform === "linux" ? await listenersOnLinux(ports, among) : await listenersByLsof(ports);
}

async function listenersOnLinux(
  ports: readonly number[],
  among?: readonly number[],
): Promise<{ port: number; pid: number }[]> {
  const sockets = new Map<string, number>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const port = Number.parseInt(fields[1]?.split(":").at(-1) ?? "", 16);
      // State 0A is LISTEN; field 9 is the socket's inode, by which /proc/<pid>/fd names it.
      if (fields[3] === "0A" && ports.includes(port)) sockets.set(`socket:[${fields[9]}]`, port);
    }
  }
  if (sockets.size === 0) return [];
  const pids = among ?? (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const found = await Promise.all(pids.map((pid) => socketsOf(pid, sockets)));
  return found.flat();
}

async function socketsOf(pid: number, sockets: ReadonlyMap<string, number>): Promise<{ port: number; pid: number }[]> {
  // A process that ended meanwhile, or another user's: it has nothing to tell.
  const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => "")));
  const ports = new Set(links.flatMap((target) => sockets.get(target) ?? []));
  return [...ports].map((port) => ({ port, pid }));
}

async function listenersByLsof(ports: readonly number[]): Promise<{ port: number; pid: number }[]> {
  const args = ["-nP", "-sTCP:LISTEN", ...ports.map((port) => `-iTCP:${port}`), "-Fpn"];
  // lsof exits with 1 when nothing matches.
  const stdout = await run("lsof", args).then(
    (done) => done.stdout,
    (error: { stdout?: string }) => error.stdout ?? "",
  );
  const found: { port: number; pid: number }[] = [];
  let pid = 0;
  for (const line of stdout.split("\n")) {
    if (line.startsWith("p")) pid = Number(line.slice(1));
    const port = Number(/:(\d+)$/.exec(line)?.[1]);
    if (line.startsWith("n") && port) found.push({ port, pid });
  }
  return found;
}
