import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type MailKind, openMail } from "../infra/mail.ts";
import { sendMail } from "./smtp.ts";
import { until } from "./until.ts";

/** The suite of the mail catcher, which `kinds` may be. */
export function mailContract(get: () => { smtpPort: number; webUrl: string }, kinds: readonly MailKind[]): void {
  describe("mail", () => {
    it(`says which mail catcher it is: ${kinds.join(" or ")}`, async () => {
      expect(kinds).toContain(await openMail(get()).kind());
    });

    it("is read back by the sender who sent it, and cleared for that sender only", async () => {
      const { smtpPort, webUrl } = get();
      const mail = openMail({ webUrl });
      const from = `${randomUUID().slice(0, 8)}@contract.test`;
      const other = `1${from}`;
      await mail.ping();
      for (const sender of [from, other]) {
        await sendMail(smtpPort, {
          from: sender,
          to: ["a@example.com", "b@example.com"],
          subject: `by ${sender}`,
          text: "Grüße\n.dot\n",
        });
      }
      const [first] = await until("the mail", async () => {
        const found = await mail.list({ from });
        return found.length === 1 && found;
      });
      expect(first).toMatchObject({ from, to: ["a@example.com", "b@example.com"], subject: `by ${from}` });
      const whole = await mail.get(first?.id ?? "");
      expect(whole.text).toContain("Grüße");
      expect(whole.text).toContain("\n.dot");
      expect(Math.abs(Date.parse(whole.date) - Date.now())).toBeLessThan(60_000);
      expect(await mail.list({ from, to: "nobody@example.com" })).toEqual([]);
      expect(await mail.clear({ from })).toBe(1);
      expect(await mail.list({ from })).toEqual([]);
      expect(await mail.list({ from: other })).toHaveLength(1);
      expect(await mail.clear({ from: other })).toBe(1);
      await expect(mail.get(first?.id ?? "")).rejects.toMatchObject({ code: "MAIL_NOT_FOUND" });
    });

    it("keeps its HTML and its attachments", async () => {
      const { smtpPort, webUrl } = get();
      const from = `${randomUUID().slice(0, 8)}@contract.test`;
      const mime = [
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n',
        "--x\nContent-Type: text/html; charset=utf-8\n\n<p>Hello <b>you</b></p>",
        '--x\nContent-Type: application/pdf; name="a.pdf"\nContent-Disposition: attachment; filename="a.pdf"\nContent-Transfer-Encoding: base64\n',
        "JVBERi0=",
        "--x--",
      ].join("\n");
      await sendMail(smtpPort, { from, to: ["a@example.com"], subject: "attached", text: "", mime });
      const mail = openMail({ webUrl });
      const [{ id }] = await until("the mail", async () => {
        const [found] = await mail.list({ from });
        return found && [found];
      });
      const whole = await mail.get(id);
      expect(whole.html).toContain("<b>you</b>");
      expect(whole.attachments).toEqual([{ name: "a.pdf", contentType: "application/pdf", sizeBytes: 5 }]);
      await mail.clear({ from });
    });
  });
}
