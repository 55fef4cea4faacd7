import type { Ask, MailDriver, MailMessage } from "./mail.ts";
import { fieldsOf, listOf, textOf } from "./mail-json.ts";

/** MailDev's REST API. */
export function openMaildev(ask: Ask): MailDriver {
  return {
    list: async ({ from, to, limit }) => {
      const query = new URLSearchParams({ ...(from && { "from.address": from }), ...(to && { "to.address": to }) });
      const mails = listOf(await ask(`/email?${query}`)).map(readMail);
      // In the order in which they came, but for those read from disk at a start.
      mails.sort((a, b) => b.date.localeCompare(a.date));
      return mails.slice(0, limit).map(({ id, from, to, subject, date }) => ({ id, from, to, subject, date }));
    },
    find: async (id) => {
      const mail = await ask(`/email/${encodeURIComponent(id)}`);
      return mail === undefined ? undefined : readMail(mail);
    },
    remove: async (ids) => {
      for (const id of ids) await ask(`/email/${encodeURIComponent(id)}`, { method: "DELETE" });
    },
  };
}

function readMail(value: unknown): MailMessage {
  const mail = fieldsOf(value);
  return {
    id: textOf(mail["id"]),
    from: addresses(mail["from"])[0] ?? "",
    to: addresses(mail["to"]),
    subject: textOf(mail["subject"]),
    date: textOf(mail["time"]),
    text: textOf(mail["text"]),
    html: textOf(mail["html"]),
    attachments: listOf(mail["attachments"]).map((one) => {
      const { fileName, contentType, length } = fieldsOf(one);
      return { name: textOf(fileName), contentType: textOf(contentType), sizeBytes: Number(length ?? 0) };
    }),
  };
}

const addresses = (value: unknown): string[] => listOf(value).map((one) => textOf(fieldsOf(one)["address"]));
