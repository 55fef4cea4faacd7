import { readdir, readFile, readlink } from "node:fs/promises";

/** The addresses, as the kernel writes them, on which only programs of this machine can reach a socket. */
const loopback = /^(0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F):/;

/** Every TCP listener of these processes (Linux only): its port, and whether other machines are kept out. */
export async function listenersOf(
  pids: readonly number[],
): Promise<{ pid: number; port: number; loopback: boolean }[]> {
  const sockets = new Map<string, string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of (await readFile(table, "utf8")).split("\n").slice(1)) {
      const [, address = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === "0A") sockets.set(`socket:[${inode}]`, address);
    }
  }
  const found = await Promise.all(
    pids.map(async (pid) => {
      const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
      const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => "")));
      const addresses = new Set(links.flatMap((link) => sockets.get(link) ?? []));
      return [...addresses].map((address) => ({
        pid,
        port: Number.parseInt(address.split(":")[1] ?? "", 16),
        loopback: loopback.test(address),
      }));
    }),
  );
  return found.flat();
}
