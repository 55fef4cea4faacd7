/** Runs a program to its end; an error ends the process with its message and code 1. */
export async function run(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

/** How long a clean end may take before the process ends all the same, in ms. */
const endMs = 3000;

/** Calls `close` with the first SIGTERM or SIGINT; the process then ends as soon as nothing is left open. */
export function closeOnSignal(close: () => Promise<void>): void {
  const end = (signal: NodeJS.Signals) => {
    process.removeAllListeners("SIGTERM").removeAllListeners("SIGINT");
    console.info(`${signal}: closing`);
    setTimeout(() => process.exit(1), endMs).unref();
    void run(close);
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
}
