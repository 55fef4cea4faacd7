import { rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { LineSplitter } from "../lines.ts";

/*
 * Stands between the keeper and the extension (pi-extension.ts) in pi's terminal program: `node pi-bridge.js <socket>`. What
 * the extension says comes out as a line, a line that comes in goes to the extension, or waits until there is one. So pi in
 * a terminal and pi on pipes say the same and are told the same, and nothing has to be typed. It decides nothing.
 */

class Bridge {
  #extension: Socket | undefined;
  #held: string[] = [];
  readonly #server = createServer((socket) => this.#connected(socket));

  /** Listens; only its own user can reach the socket, since the session's folder is closed to others. */
  async listen(path: string): Promise<void> {
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(path, resolve));
  }

  /** pi has loaded the extension, for the first time or anew: the newest one is the one that works. */
  #connected(socket: Socket): void {
    this.#extension?.destroy();
    this.#extension = socket;
    const lines = new LineSplitter();
    socket.on("data", (chunk) => {
      for (const line of lines.push(chunk)) process.stdout.write(`${line}\n`);
    });
    // It ended while we wrote; what it did not take is told by its answers.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (this.#extension === socket) this.#extension = undefined;
    });
    for (const line of this.#held.splice(0)) socket.write(`${line}\n`);
  }

  /** A line for the extension. */
  write(line: string): void {
    if (this.#extension === undefined) this.#held.push(line);
    else this.#extension.write(`${line}\n`);
  }
}

async function main([path]: string[]): Promise<void> {
  if (path === undefined) throw new Error("Usage: pi-bridge.js <socket>");
  const bridge = new Bridge();
  await bridge.listen(path);
  const lines = new LineSplitter();
  process.stdin.on("data", (chunk: Buffer) => {
    for (const line of lines.push(chunk)) bridge.write(line);
  });
  const end = (): void => {
    void rm(path, { force: true }).finally(() => process.exit(0));
  };
  // The keeper is gone, and nobody is left to tell anything to.
  process.stdin.on("end", end);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, end);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
