import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "./engine.ts";

/**
 * Docker can start a program in a container, and not end it: one whose caller is gone runs on. So each gets a guard beside
 * it, a shell that finds the program and all that it started by a mark in their environment, and signals them.
 */
export interface Guard {
  /** Signals the program, or waits for it a little when it has not started yet. */
  send(signal: NodeJS.Signals): void;
  /** Takes the guard away; with `sweep` all that is left of the program is killed first. */
  close(options: { sweep: boolean }): Promise<void>;
}

/** The variable that carries the mark. */
export const markVariable = "AGENT_HARNESS_EXEC";

/** How long a guard may take to end, in ms. */
const closeLimitMs = 5000;

/**
 * Reads signals, a line each. The end of its input means that nobody is there any more, whatever became of us: then all is
 * killed, and a second time for what was just about to start. Only what every sh has is used: some images have no grep.
 */
const script = `
signal() {
  found=
  for folder in /proc/[0-9]*; do
    line=
    while IFS= read -r line || [ -n "$line" ]; do
      case "$line" in *"$0"*) kill "-$1" "\${folder#/proc/}" && found=yes; break ;; esac
    done <"$folder/environ"
  done
  [ -n "$found" ]
}
while read -r word; do
  case "$word" in done) exit ;; sweep) signal KILL; exit ;; esac
  tries=0
  until signal "$word" || [ "$tries" -ge 20 ]; do tries=$((tries + 1)); sleep 0.1; done
done
signal KILL
sleep 0.5
signal KILL
`;

/** Starts the guard of a program that will carry this mark. */
export async function openGuard(engine: Engine, container: string, mark: string): Promise<Guard> {
  const exec = await engine.docker.getContainer(container).exec({
    Cmd: ["/bin/sh", "-c", script, `${markVariable}=${mark}`],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const socket = await exec.start({ hijack: true, stdin: true });
  const closed = once(socket, "close").catch(() => undefined);
  // An engine that goes away takes the program with it, or shows in the program's own stream.
  socket.on("error", () => undefined);
  // What it says (that a process was gone before it could be read) interests nobody.
  socket.resume();
  return {
    send: (signal) => {
      if (socket.writable) socket.write(`${signal.replace(/^SIG/, "")}\n`);
    },
    close: async ({ sweep }) => {
      if (socket.writable) socket.end(sweep ? "sweep\n" : "done\n");
      await Promise.race([closed, delay(closeLimitMs, undefined, { ref: false })]);
      socket.destroy();
    },
  };
}
