import type { Entry } from "common";
import type { AppEnv } from "./env.ts";

const ownerAddress = "guestbook-owner@example.test";

/** Tells the owner of the guestbook about a new entry. */
export async function sendEntryMail(env: AppEnv, entry: Entry): Promise<void> {
  // Loaded with the first mail, not when the process starts.
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({
    host: env.EMAIL_SMTP_HOST,
    port: env.EMAIL_SMTP_PORT,
    secure: env.EMAIL_SMTP_SECURE,
    connectionTimeout: 5000,
    ...(env.EMAIL_SMTP_USE_AUTH && {
      auth: { user: env.EMAIL_SMTP_USER ?? "", pass: env.EMAIL_SMTP_PASSWORD ?? "" },
    }),
  });
  await transport.sendMail({
    from: { name: env.EMAIL_SMTP_SENDER_NAME, address: env.EMAIL_SMTP_SENDER_EMAIL },
    to: ownerAddress,
    subject: `${entry.name} wrote in the guestbook`,
    text: `${entry.name} wrote:\n\n${entry.message}\n\nRead it at ${env.SITE_URL}\n`,
  });
}
