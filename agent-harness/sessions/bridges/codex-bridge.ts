import { LineSplitter } from "../lines.ts";
import { CodexServer, removeSocket } from "./codex-server.ts";

/*
 * Stands between the keeper and `codex app-server`, so that codex's own terminal program can be a second client of the same
 * server: `node codex-bridge.js <socket> <thread file> <codex> <arguments …>`. It ends with the server, and the server with it.
 */

async function main([socket, threadFile, ...argv]: string[]): Promise<number> {
  if (socket === undefined || threadFile === undefined || argv.length === 0) {
    throw new Error("Usage: codex-bridge.js <socket> <thread file> <codex> <arguments …>");
  }
  await removeSocket(socket);
  const line = (text: string): void => void process.stdout.write(`${text}\n`);
  const complain = (text: string): void => void process.stderr.write(`${text}\n`);
  const server = new CodexServer({ socket, threadFile, argv, line, complain });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => server.end());
  const lines = new LineSplitter();
  process.stdin.on("data", (chunk: Buffer) => {
    for (const text of lines.push(chunk)) server.write(text);
  });
  process.stdin.on("end", () => server.end());
  server.connect().catch((error: unknown) => {
    complain(`No connection to codex app-server: ${String(error)}`);
    server.end();
  });
  return await server.ended;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);
