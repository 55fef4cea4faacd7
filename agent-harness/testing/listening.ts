import { readdir, readFile, readlink } from "node:fs/promises";

/** The addresses, as the kernel writes them, on which only programs of this machine can reach a socket. */
const loopback = /^(0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F):/;

/** One TCP listener: its port, and whether other machines are kept out. */
export interface Listener {
  port: number;
  loopback: boolean;
}

const readAddress = (address: string): Listener => ({
  port: Number.parseInt(address.split(":")[1] ?? "", 16),
  loopback: loopback.test(address),
});

/** The address of every TCP listener of this machine, by its socket's inode (Linux only). */
async function allListeners(): Promise<Map<string, string>> {
  const sockets = new Map<string, string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of (await readFile(table, "utf8")).split("\n").slice(1)) {
      const [, address = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === "0A") sockets.set(`socket:[${inode}]`, address);
    }
  }
  return sockets;
}

/** Every TCP listener of these processes (Linux only). */
export async function listenersOf(pids: readonly number[]): Promise<(Listener & { pid: number })[]> {
  const sockets = await allListeners();
  const found = await Promise.all(
    pids.map(async (pid) => {
      const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
      const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => "")));
      const addresses = new Set(links.flatMap((link) => sockets.get(link) ?? []));
      return [...addresses].map((address) => ({ pid, ...readAddress(address) }));
    }),
  );
  return found.flat();
}

/** Every TCP listener on one of these ports, whoever it belongs to (Linux only). */
export async function listenersOn(ports: readonly number[]): Promise<Listener[]> {
  return [...(await allListeners()).values()].map(readAddress).filter((one) => ports.includes(one.port));
}
