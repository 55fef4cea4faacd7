import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";

export interface OutgoingMail {
  from: string;
  to: string[];
  subject: string;
  text: string;
  /** The whole content after the address lines, in place of `text`. */
  mime?: string;
}

/** Sends one mail by plain SMTP, as any program would; throws with the server's words when it is refused. */
export async function sendMail(port: number, mail: OutgoingMail, host = "127.0.0.1"): Promise<void> {
  const socket = connect(port, host);
  await once(socket, "connect");
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const expect = async (code: string): Promise<void> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done || !String(value).startsWith(code)) throw new Error(`SMTP: expected ${code}, got ${value ?? "the end"}`);
      if (String(value)[3] !== "-") return;
    }
  };
  const say = async (line: string, code: string): Promise<void> => {
    socket.write(`${line}\r\n`);
    await expect(code);
  };
  try {
    await expect("220");
    await say("EHLO localhost", "250");
    await say(`MAIL FROM:<${mail.from}>`, "250");
    for (const to of mail.to) await say(`RCPT TO:<${to}>`, "250");
    await say("DATA", "354");
    const content = mail.mime ?? `Content-Type: text/plain; charset=utf-8\r\n\r\n${mail.text}`;
    const head = `From: Sender <${mail.from}>\r\nTo: ${mail.to.join(", ")}\r\nSubject: ${mail.subject}\r\n`;
    // A line that begins with a dot would end the mail.
    const body = `${head}${content}`.replaceAll(/\r?\n/g, "\r\n").replaceAll(/^\./gm, "..");
    await say(`${body}\r\n.`, "250");
    await say("QUIT", "221");
  } finally {
    socket.destroy();
  }
}
