import { createServer, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openMail } from "./mail.ts";
import type { RunningServer } from "./servers/entry.ts";
import { listenOnLoopback } from "./servers/listen.ts";

/** Mailpit's API as its documentation has it, on two mails. */
function mailpit(deleted: string[]): Server {
  const mail = (id: string, from: string) => ({
    ID: id,
    From: { Name: "", Address: from },
    To: [{ Name: "", Address: "a@example.com" }],
    Subject: `by ${from}`,
    Created: "2026-01-02T03:04:05Z",
  });
  const all = [mail("one", "agent-1@x.test"), mail("two", "agent-11@x.test")];
  const answers: Record<string, () => unknown> = {
    "GET /api/v1/info": () => ({ Version: "v1.30.0" }),
    "GET /api/v1/messages": () => ({ messages: all }),
    // Its search finds parts of addresses.
    "GET /api/v1/search": () => ({ messages: all.filter((one) => !deleted.includes(one.ID)) }),
    "GET /api/v1/message/one": () => ({
      ...all[0],
      Text: "hello",
      HTML: "<p>",
      Attachments: [{ FileName: "f", ContentType: "t", Size: 3 }],
    }),
  };
  return createServer(async (request, response) => {
    const [path] = (request.url ?? "").split("?");
    if (request.method === "DELETE") {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      deleted.push(...(JSON.parse(body) as { IDs: string[] }).IDs);
      response.end("ok");
      return;
    }
    const answer = answers[`${request.method} ${path}`];
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer?.() ?? "Not found"));
  });
}

describe("openMail with Mailpit", () => {
  const deleted: string[] = [];
  let server: RunningServer;
  const mail = () => openMail({ webUrl: `http://127.0.0.1:${server.port}` });

  beforeEach(async () => {
    deleted.length = 0;
    server = await listenOnLoopback(mailpit(deleted), 0);
  });
  afterEach(async () => await server.stop());

  it("finds the mails of one sender and no longer address", async () => {
    expect(await mail().kind()).toBe("mailpit");
    expect(await mail().list()).toHaveLength(2);
    expect(await mail().list({ from: "agent-1@x.test" })).toEqual([
      {
        id: "one",
        from: "agent-1@x.test",
        to: ["a@example.com"],
        subject: "by agent-1@x.test",
        date: "2026-01-02T03:04:05Z",
      },
    ]);
  });

  it("reads one", async () => {
    const attachments = [{ name: "f", contentType: "t", sizeBytes: 3 }];
    expect(await mail().get("one")).toMatchObject({ text: "hello", html: "<p>", attachments });
    await expect(mail().get("../info")).rejects.toMatchObject({ code: "MAIL_NOT_FOUND" });
  });

  it("clears one sender's", async () => {
    expect(await mail().clear({ from: "agent-1@x.test" })).toBe(1);
    expect(deleted).toEqual(["one"]);
  });
});

describe("openMail", () => {
  it("says where nobody answers", async () => {
    const server = await listenOnLoopback(createServer(), 0);
    const webUrl = `http://127.0.0.1:${server.port}`;
    await server.stop();
    const hint = "Run: agent-harness infra up";
    await expect(openMail({ webUrl }).ping()).rejects.toMatchObject({
      code: "MAIL_UNAVAILABLE",
      hint,
      context: { url: webUrl },
    });
  });

  it("says when what answers is something else", async () => {
    const server = await listenOnLoopback(
      createServer((_, response) => response.end("<html>")),
      0,
    );
    await expect(openMail({ webUrl: `http://127.0.0.1:${server.port}` }).kind()).rejects.toThrow(
      "neither Mailpit nor MailDev",
    );
    await server.stop();
  });
});
