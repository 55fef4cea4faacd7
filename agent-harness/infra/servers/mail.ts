import { access, constants, mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { MailDev } from "maildev";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { numberSetting, type RunningServer, requireSetting, runWhenEntry } from "./entry.ts";
import { listenOnLoopback } from "./listen.ts";

/** As many as the seed's Mailpit keeps (MP_MAX_MESSAGES). */
const maxMessages = 5000;
const startLimitMs = 10_000;
/** maildev waits up to 30 s for SMTP clients that say nothing. */
const closeLimitMs = 800;

export interface MailOptions {
  smtpPort: number;
  webPort: number;
  /** Folder of the mails; read again at the next start. */
  data: string;
  maxMessages?: number;
}

/** A mail catcher on 127.0.0.1: takes any mail by SMTP, shows it on a web page and by a REST API. One a process. */
export async function startMail(options: MailOptions): Promise<RunningServer & { smtpPort: number }> {
  await requireFolder(options.data);
  const smtpPort = await requirePort(options.smtpPort);
  const webPort = await requirePort(options.webPort);
  const { default: start } = await import("maildev");
  const mail = start({ smtp: smtpPort, web: webPort, ip: "127.0.0.1", mailDirectory: options.data, silent: true });
  mail.on("new", () => dropOldest(mail, options.maxMessages ?? maxMessages));
  await mail.listen();
  await waitForWeb(webPort);
  const closed = (): Promise<void> => new Promise((resolve) => mail.close(resolve));
  return { port: webPort, smtpPort, stop: () => Promise.race([closed(), delay(closeLimitMs)]) };
}

async function requireFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new HarnessError("HOME_UNUSABLE", `The folder ${folder} cannot be used for mail: ${errorText(cause)}`, {
      cause,
    });
  }
}

/** The port, listened on for a moment: maildev itself reports a port in use only by an exception that nobody can catch. */
async function requirePort(port: number): Promise<number> {
  const probe = await listenOnLoopback(createServer(), port);
  await probe.stop();
  return probe.port;
}

async function waitForWeb(port: number): Promise<void> {
  const end = Date.now() + startLimitMs;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch((error: unknown) => errorText(error));
    if (typeof answer !== "string" && answer.ok) return;
    if (Date.now() > end) throw new HarnessError("MAIL_UNAVAILABLE", `maildev did not come up on port ${port}.`);
    await delay(20);
  }
}

function dropOldest(mail: MailDev, limit: number): void {
  while (mail.store.length > limit) {
    const oldest = mail.store.reduce((a, b) => (new Date(b.time) < new Date(a.time) ? b : a));
    mail.deleteEmail(oldest.id, (error) => {
      if (error) process.stderr.write(`mail: ${oldest.id}: ${error.message}\n`);
    });
  }
}

await runWhenEntry(import.meta.url, "mail", async () => {
  const running = await startMail({
    smtpPort: numberSetting("MAIL_SMTP_PORT"),
    webPort: numberSetting("MAIL_WEB_PORT"),
    data: requireSetting("MAIL_DATA"),
  });
  // maildev throws out of callbacks (a file deleted twice, a client gone); the mails are on disk, and the next request is another one.
  process.on("uncaughtException", (error) => process.stderr.write(`mail: ${errorText(error)}\n`));
  return running;
});
