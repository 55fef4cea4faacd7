/** What reached us while a program ran in a container. */
export interface Interruption {
  /** The last signal; undefined while nobody wants the program to end. */
  readonly signal: NodeJS.Signals | undefined;
  /** Aborts when the program goes on though it was killed. */
  readonly hopeless: AbortSignal;
  /** Ends the program as that signal to us would. */
  interrupt(signal: NodeJS.Signals): void;
  stop(): void;
}

/** How long a program may take to end once it was asked to, in ms; then it is killed, and given up after as long again. */
const graceMs = 5000;

/** The terminal sends these to a program of its own machine too, and the program decides what they mean. */
const asked: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
/** Whoever sends these to us wants an end. */
const ending: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP"];

/** Passes signals to us on, until it is stopped; those that mean an end are followed by SIGKILL. */
export function passSignals(send: (signal: NodeJS.Signals) => void): Interruption {
  const timers: NodeJS.Timeout[] = [];
  let signal: NodeJS.Signals | undefined;
  const hopeless = new AbortController();
  const pass = (one: NodeJS.Signals): void => {
    signal = one;
    send(one);
  };
  const interrupt = (one: NodeJS.Signals): void => {
    pass(one);
    if (timers.length > 0) return;
    timers.push(
      setTimeout(() => send("SIGKILL"), graceMs),
      setTimeout(() => hopeless.abort(), 2 * graceMs),
    );
  };
  for (const one of asked) process.on(one, pass);
  for (const one of ending) process.on(one, interrupt);
  return {
    get signal() {
      return signal;
    },
    hopeless: hopeless.signal,
    interrupt,
    stop: () => {
      for (const one of asked) process.off(one, pass);
      for (const one of ending) process.off(one, interrupt);
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
