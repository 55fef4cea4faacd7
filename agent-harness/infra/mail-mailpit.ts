import type { Ask, MailDriver, MailSummary } from "./mail.ts";
import { fieldsOf, listOf, textOf } from "./mail-json.ts";

/** Mailpit's REST API, v1. */
export function openMailpit(ask: Ask): MailDriver {
  return {
    list: async ({ from, to, limit }) => {
      const words = [...(from ? [`from:"${from}"`] : []), ...(to ? [`to:"${to}"`] : [])];
      const path =
        words.length === 0 ? "/api/v1/messages?" : `/api/v1/search?query=${encodeURIComponent(words.join(" "))}&`;
      const mails = listOf(fieldsOf(await ask(`${path}limit=${limit}`))["messages"]).map(readSummary);
      // Mailpit finds parts of addresses too: agent-1 would get what agent-11@… sent.
      return mails.filter((mail) => (!from || same(mail.from, from)) && (!to || mail.to.some((one) => same(one, to))));
    },
    find: async (id) => {
      const value = await ask(`/api/v1/message/${encodeURIComponent(id)}`);
      if (value === undefined) return undefined;
      const mail = fieldsOf(value);
      const attachments = listOf(mail["Attachments"]).map((one) => {
        const { FileName, ContentType, Size } = fieldsOf(one);
        return { name: textOf(FileName), contentType: textOf(ContentType), sizeBytes: Number(Size ?? 0) };
      });
      return { ...readSummary(value), text: textOf(mail["Text"]), html: textOf(mail["HTML"]), attachments };
    },
    remove: async (ids) => {
      const body = JSON.stringify({ IDs: ids });
      await ask("/api/v1/messages", { method: "DELETE", headers: { "content-type": "application/json" }, body });
    },
  };
}

function readSummary(value: unknown): MailSummary {
  const mail = fieldsOf(value);
  return {
    id: textOf(mail["ID"]),
    from: textOf(fieldsOf(mail["From"])["Address"]),
    to: listOf(mail["To"]).map((one) => textOf(fieldsOf(one)["Address"])),
    subject: textOf(mail["Subject"]),
    // A list has when it came, a single mail what its header says.
    date: textOf(mail["Created"] ?? mail["Date"]),
  };
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
