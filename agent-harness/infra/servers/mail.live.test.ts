import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { mailContract } from "../../testing/mail-contract.ts";
import { sendMail } from "../../testing/smtp.ts";
import { until } from "../../testing/until.ts";
import { openMail } from "../mail.ts";
import { startMail } from "./mail.ts";

let folder: string;
let server: Awaited<ReturnType<typeof startMail>>;

// maildev keeps its state in its module: one at a time in a process.
const start = (): ReturnType<typeof startMail> =>
  startMail({
    smtpPort: server?.smtpPort ?? 0,
    webPort: server?.port ?? 0,
    data: join(folder, "mail"),
    maxMessages: 10,
  });
const webUrl = (): string => `http://127.0.0.1:${server.port}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-mail-"));
  server = await start();
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

mailContract(() => ({ smtpPort: server.smtpPort, webUrl: webUrl() }), ["maildev"]);

it("keeps the newest mails, on disk too, and over a restart", async () => {
  const mail = openMail({ webUrl: webUrl() });
  const from = "many@contract.test";
  for (let at = 1; at <= 13; at += 1) {
    await sendMail(server.smtpPort, { from, to: ["a@example.com"], subject: `mail ${at}`, text: "x" });
  }
  const subjects = await until("the newest ten", async () => {
    const found = (await mail.list({ from })).map((one) => one.subject);
    return found.includes("mail 13") && found.length === 10 && found;
  });
  expect(subjects).not.toContain("mail 3");
  await until("the files of the oldest to go", async () => (await readdir(join(folder, "mail"))).length === 10);
  await server.stop();
  server = await start();
  await until("the mails to be read again", async () => (await mail.list({ from })).length === 10);
  expect((await mail.list({ from, limit: 3 })).length).toBe(3);
  expect(await mail.clear({ from })).toBe(10);
});

it("says which port is taken and which folder cannot be used", async () => {
  const data = join(folder, "other");
  await expect(startMail({ smtpPort: server.smtpPort, webPort: 0, data })).rejects.toMatchObject({
    code: "PORT_TAKEN",
  });
  await expect(startMail({ smtpPort: 0, webPort: server.port, data })).rejects.toMatchObject({ code: "PORT_TAKEN" });
  await writeFile(join(folder, "file"), "");
  await expect(startMail({ smtpPort: 0, webPort: 0, data: join(folder, "file") })).rejects.toMatchObject({
    code: "HOME_UNUSABLE",
  });
});
