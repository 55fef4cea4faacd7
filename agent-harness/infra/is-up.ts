import { connect } from "node:net";
import type { HomePaths } from "../shared/paths.ts";
import { daemonAnswers } from "../shared/process-daemon.ts";
import { findRecord } from "./record.ts";
import { type Infra, type ServiceId, serviceIds } from "./services.ts";

/** How long a service of this machine may take to say its first word, in ms; a hanging one must not hang us. */
const limitMs = 2000;

/**
 * Whether every service of ours says something, and for the embedded ones PM2 is there to look after them; a quick look
 * (a few milliseconds), not a health check.
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
    // Not SMTP: MailDev lets whoever connects there wait for a tenth of a second before it speaks.
    mail: Number(new URL(infra.mail.webUrl).port),
  };
  // Without the daemon what runs is left over from it: `up` starts it anew, so that it comes back when it dies.
  const supervised = record.driver === "compose" || daemonAnswers(paths.pm2);
  const answers = await Promise.all([supervised, ...own.map((id) => speaks(id, ports[id]))]);
  return !answers.includes(false);
}

const http = (line: string): string => `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

/** How an answer begins that is no failure of the server: MinIO refuses with 503 as long as it is starting up. */
const answered = /^HTTP\/1\.[01] [1-4]/;

/** What each service is asked, and how a good answer begins: Postgres wants a password (R); one that is starting up refuses (E). */
const questions: Readonly<Record<ServiceId, { ask: Buffer | string; answer: RegExp }>> = {
  postgres: { ask: startupMessage(), answer: /^R/ },
  s3: { ask: http("HEAD /"), answer: answered },
  browser: { ask: http("GET /json/version"), answer: answered },
  mail: { ask: http("HEAD /"), answer: answered },
};

/** The first message of a client of Postgres: length, protocol 3.0, who it is and what it wants. */
function startupMessage(): Buffer {
  const body = Buffer.from("user\0postgres\0database\0postgres\0\0", "latin1");
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}

/**
 * Whether the service itself answers: Docker takes the connections to a published port as long as the container is there,
 * whatever listens in it. Connected to, not bound: a bind takes the port away from a service that is starting.
 */
function speaks(id: ServiceId, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(limitMs, () => end(false));
    socket.once("connect", () => socket.write(questions[id].ask));
    socket.once("data", (data) => end(questions[id].answer.test(data.toString("latin1"))));
    // Refused, or ended without a word.
    socket.once("error", () => end(false));
    socket.once("close", () => resolve(false));
  });
}
