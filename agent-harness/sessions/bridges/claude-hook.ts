import { randomUUID } from "node:crypto";
import { connect } from "node:net";

/*
 * What Claude Code runs at each of its hooks in a terminal: `node claude-hook.js <keeper's socket> [wait]`. It passes on what it
 * got on its standard input; with `wait` it then waits for an answer and prints it, which decides the permission that is asked.
 * Meanwhile the person at the terminal sees the same question: whoever answers first decides. Without the keeper it says
 * nothing, and the program goes on as if there were no hook. It starts at every hook: it imports nothing but Node's own parts.
 */

async function input(): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
}

async function tell(path: string, waits: boolean): Promise<void> {
  const data = await input();
  const wait = waits ? randomUUID() : undefined;
  const socket = connect(path);
  const say = (hook: Record<string, unknown>, more: object = {}): void => {
    socket.write(`${JSON.stringify({ hook, ...more })}\n`);
  };
  // There is no keeper, or it was killed: the program's own dialog stays.
  socket.on("error", () => process.exit(0));
  socket.on("close", () => process.exit(0));
  say(wait === undefined ? data : { ...data, wait }, wait === undefined ? {} : { wait });
  let answer = "";
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    answer += text;
    if (answer.includes("\n")) print(answer.slice(0, answer.indexOf("\n")));
  });
  // The person at the terminal was faster: our answer is not wanted any more.
  const settled = (): void => {
    if (wait !== undefined) say({ hook_event_name: "PermissionSettled", wait });
    socket.end(() => process.exit(0));
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, settled);
}

/** An empty answer decides nothing. */
function print(answer: string): void {
  if (answer === "{}") process.exit(0);
  process.stdout.write(`${answer}\n`, () => process.exit(0));
}

const [path, mode] = process.argv.slice(2);
if (path !== undefined) await tell(path, mode === "wait");
