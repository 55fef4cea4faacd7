import { randomUUID } from "node:crypto";
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "./engine.ts";
import { type Call, explained, goesOn, gone, refused } from "./exec-errors.ts";
import { markVariable, openGuard } from "./exec-guard.ts";
import { type Interruption, passSignals } from "./exec-signals.ts";
import { passInput, passOutput, takeTerminal } from "./exec-streams.ts";

/** A program in a container, as the engine knows it. */
type Exec = ReturnType<Engine["docker"]["getExec"]>;

/**
 * Runs a program in a container, with our terminal where we have one, else with our three streams. Signals to us are passed
 * on, and nothing of the program is left when one of them ended it, or when we are killed. Returns its exit code.
 */
export async function execInContainer(engine: Engine, call: Call): Promise<number> {
  const mark = randomUUID();
  const guard = await explained(call, () => openGuard(engine, call.container.id, mark));
  const interruption = passSignals(guard.send);
  let whole = false;
  try {
    const exitCode = await run(engine, call, mark, interruption);
    whole = interruption.signal === undefined;
    return exitCode;
  } finally {
    interruption.stop();
    await guard.close({ sweep: !whole });
  }
}

async function run(engine: Engine, call: Call, mark: string, interruption: Interruption): Promise<number> {
  const { argv, options, container } = call;
  const tty = options.stdin.isTTY === true && options.stdout.isTTY === true;
  const exec = await explained(call, () =>
    engine.docker.getContainer(container.id).exec({
      Cmd: [...argv],
      Env: Object.entries({ ...options.env, [markVariable]: mark }).map(([key, value]) => `${key}=${value}`),
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Tty: tty,
      // Nobody leaves a program by keys here, and the usual ones begin with one that means "the line before" in psql.
      DetachKeys: "ctrl-^,ctrl-^,ctrl-^,ctrl-^",
    }),
  );
  if (interruption.signal !== undefined) return 128 + constants.signals[interruption.signal];
  const socket = await explained(call, () => exec.start({ hijack: true, stdin: true, Tty: tty }));
  let broken = false;
  const onBroken = (): void => {
    broken = true;
    interruption.interrupt("SIGTERM");
  };
  const output = passOutput(socket, { ...options, tty, onBroken });
  const letGo = passInput(socket, options.stdin);
  const giveBack = tty ? takeTerminal(options, (size) => exec.resize(size)) : undefined;
  interruption.hopeless.addEventListener("abort", () => socket.destroy(), { once: true });
  try {
    await output.ended;
    const { exitCode, pid } = await endOf(exec, call, interruption);
    const words = await output.finish({ refused: pid === 0 && exitCode !== 0 });
    if (words !== undefined) throw refused(call, words);
    return broken ? 128 + constants.signals.SIGPIPE : exitCode;
  } finally {
    giveBack?.();
    letGo();
    socket.destroy();
  }
}

/** How long the engine may take to know of the end of a program whose output has ended, in ms. */
const endLimitMs = 5000;

/** Waits for a program's own end: it may close its output before, and the engine learns of it a moment later. */
async function endOf(exec: Exec, call: Call, { hopeless }: Interruption): Promise<{ exitCode: number; pid: number }> {
  const end = Date.now() + endLimitMs;
  for (;;) {
    const { Running, ExitCode, Pid } = await exec.inspect().catch((error: unknown) => {
      throw gone(call, error);
    });
    if (!Running && ExitCode !== null) return { exitCode: ExitCode, pid: Pid };
    if (hopeless.aborted) throw goesOn(call);
    if (!Running && Date.now() > end) throw gone(call, "it does not say how it ended");
    await delay(20);
  }
}
