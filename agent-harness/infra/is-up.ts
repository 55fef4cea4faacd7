import { connect } from "node:net";
import type { HomePaths } from "../shared/paths.ts";
import { daemonAnswers } from "../shared/process-daemon.ts";
import { findRecord } from "./record.ts";
import { type Infra, serviceIds } from "./services.ts";

/** How long a service of this machine may take to accept a connection, in ms; a hanging one must not hang us. */
const limitMs = 2000;

/**
 * Whether every service of ours takes connections, and for the embedded ones PM2 is there to look after them; a quick look
 * (a millisecond), not a health check.
 */
export async function infraIsUp(paths: HomePaths, infra: Infra): Promise<boolean> {
  const own = serviceIds.filter((id) => !infra[id].external);
  if (own.length === 0) return true;
  const record = await findRecord(paths);
  if (record === undefined) return false;
  const ports = {
    postgres: infra.postgres.port,
    s3: infra.s3.port,
    browser: infra.browser.port,
    mail: infra.mail.smtpPort,
  };
  // Without the daemon what runs is left over from it: `up` starts it anew, so that it comes back when it dies.
  const supervised = record.driver === "compose" || daemonAnswers(paths.pm2);
  const answers = await Promise.all([supervised, ...own.map((id) => accepts(ports[id]))]);
  return !answers.includes(false);
}

/** Connected to, not bound: a bind takes the port away from a service that is starting, and from another such look. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(limitMs, () => end(false));
    socket.once("connect", () => end(true));
    // Refused: nobody listens.
    socket.once("error", () => end(false));
  });
}
