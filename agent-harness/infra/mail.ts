import { errorText, HarnessError } from "../shared/errors.ts";
import { fieldsOf } from "./mail-json.ts";
import { openMaildev } from "./mail-maildev.ts";
import { openMailpit } from "./mail-mailpit.ts";

/** Which mail catcher answers. */
export type MailKind = "mailpit" | "maildev";

/** One mail in a list; addresses without names. */
export interface MailSummary {
  id: string;
  from: string;
  to: string[];
  subject: string;
  /** ISO 8601. */
  date: string;
}

/** One mail with all that it says. */
export interface MailMessage extends MailSummary {
  text: string;
  html: string;
  attachments: { name: string; contentType: string; sizeBytes: number }[];
}

export interface MailFilter {
  from?: string | undefined;
  to?: string | undefined;
  /** At most so many, the newest; 50 unless told otherwise. */
  limit?: number | undefined;
}

/** What can be asked of any mail catcher. */
export interface Mail {
  /** The newest mails first. */
  list(filter?: MailFilter): Promise<MailSummary[]>;
  /** One mail; MAIL_NOT_FOUND when there is none with this id. */
  get(id: string): Promise<MailMessage>;
  /** Deletes the mails of one sender and says how many they were. */
  clear(filter: { from: string }): Promise<number>;
  /** Throws MAIL_UNAVAILABLE unless the server answers. */
  ping(): Promise<void>;
  kind(): Promise<MailKind>;
}

/** What each mail catcher's own file gives. */
export type MailDriver = {
  find(id: string): Promise<MailMessage | undefined>;
  list(filter: MailFilter & { limit: number }): Promise<MailSummary[]>;
  remove(ids: readonly string[]): Promise<void>;
};

/** Sends one request; undefined for 404, MAIL_UNAVAILABLE for everything else that is not a good answer. */
export type Ask = (path: string, init?: RequestInit) => Promise<unknown>;

const timeoutMs = 5000;
const clearBatch = 500;

/** The mail catcher at `webUrl`, whichever it is: it is asked, at the first call. Errors are MAIL_UNAVAILABLE with the URL. */
export function openMail({ webUrl }: { webUrl: string }): Mail {
  const ask: Ask = (path, init) => request(webUrl, path, init);
  let detected: Promise<MailKind> | undefined;
  const kind = async (): Promise<MailKind> => {
    detected ??= detect(ask, webUrl);
    // A server that was down may be asked again.
    detected.catch(() => (detected = undefined));
    return await detected;
  };
  const driver = async (): Promise<MailDriver> => ((await kind()) === "mailpit" ? openMailpit(ask) : openMaildev(ask));
  return {
    list: async (filter = {}) => await (await driver()).list({ ...filter, limit: filter.limit ?? 50 }),
    get: async (id) => {
      const mail = await (await driver()).find(id);
      if (mail !== undefined) return mail;
      throw new HarnessError("MAIL_NOT_FOUND", `There is no mail ${JSON.stringify(id)} at ${webUrl}.`, {
        hint: "List the mails again; it may have been cleared.",
      });
    },
    clear: async ({ from }) => await clearSender(await driver(), from),
    ping: async () => void (await detect(ask, webUrl)),
    kind,
  };
}

async function clearSender(driver: MailDriver, from: string): Promise<number> {
  let count = 0;
  for (;;) {
    const mails = await driver.list({ from, limit: clearBatch });
    if (mails.length === 0) return count;
    await driver.remove(mails.map((mail) => mail.id));
    count += mails.length;
  }
}

async function detect(ask: Ask, webUrl: string): Promise<MailKind> {
  if (fieldsOf(await ask("/api/v1/info"))["Version"] !== undefined) return "mailpit";
  if (fieldsOf(await ask("/config"))["smtpPort"] !== undefined) return "maildev";
  throw new HarnessError("MAIL_UNAVAILABLE", `What answers at ${webUrl} is neither Mailpit nor MailDev.`, {
    hint: "Set infra.mail.webUrl to the web port of a mail catcher.",
  });
}

async function request(webUrl: string, path: string, init: RequestInit = {}): Promise<unknown> {
  const url = new URL(path.slice(1), webUrl.endsWith("/") ? webUrl : `${webUrl}/`);
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) }).catch((cause: unknown) => {
    const why = cause instanceof Error && cause.cause !== undefined ? errorText(cause.cause) : errorText(cause);
    throw unavailable(webUrl, why, cause);
  });
  if (answer.status === 404) {
    await answer.body?.cancel();
    return undefined;
  }
  const text = await answer.text();
  if (!answer.ok) throw unavailable(webUrl, `${init.method ?? "GET"} ${path} answered ${answer.status}`);
  return readJson(text);
}

/** What an answer says, or the text itself where it is not JSON (Mailpit says `ok`; another server sends a page). */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function unavailable(url: string, why: string, cause?: unknown): HarnessError {
  return new HarnessError("MAIL_UNAVAILABLE", `The mail catcher at ${url} does not answer: ${why}`, {
    hint: "Run: agent-harness infra up",
    context: { url },
    cause,
  });
}
