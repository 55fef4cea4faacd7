import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { describe, expect, it } from "vitest";
import { listenOnLoopback } from "../infra/servers/listen.ts";

/** The suite of the browser; `get` gives its WebSocket URL. */
export function browserContract(get: () => string): void {
  describe("browser", () => {
    it("opens a page of this machine's loopback by the URL that a person would open, and renders it to PDF", async () => {
      const pages = createServer((request, response) => {
        response.setHeader("content-type", "text/html; charset=utf-8");
        response.end(`<title>Guestbook</title><h1>Grüße from ${request.url} of ${request.headers.host}</h1>`);
      });
      const server = await listenOnLoopback(pages, 0);
      const host = `localhost:${server.port}`;
      const browser = await chromium.connectOverCDP(get());
      try {
        const page = await browser.newPage();
        const answer = await page.goto(`http://${host}/entries?of=all`);
        expect(answer?.status()).toBe(200);
        expect(await page.textContent("h1")).toBe(`Grüße from /entries?of=all of ${host}`);
        const pdf = await page.pdf();
        expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
        expect(pdf.subarray(-6).toString()).toContain("%%EOF");
        // The title is written in it as it is; the text of the page only by the glyphs of its font.
        expect(pdf.toString("latin1")).toContain("/Title (Guestbook)");
      } finally {
        await browser.close();
        await server.stop();
      }
    });

    it("renders a page that it is given to PDF", async () => {
      const browser = await chromium.connectOverCDP(get());
      try {
        const page = await browser.newPage();
        await page.setContent("<h1>Guestbook</h1>");
        const pdf = await page.pdf();
        expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
        expect(pdf.length).toBeGreaterThan(2000);
      } finally {
        await browser.close();
      }
    });

    it("is found by its HTTP address too", async () => {
      const browser = await chromium.connectOverCDP(get().replace(/^ws/, "http"));
      expect(browser.version()).toMatch(/^\d+\./);
      await browser.close();
    });

    it("gives two clients two browsers", async () => {
      const [one, two] = await Promise.all([chromium.connectOverCDP(get()), chromium.connectOverCDP(get())]);
      try {
        const [first, second] = [one.contexts()[0], two.contexts()[0]];
        const cookie = { name: "who", value: "one", url: "http://localhost/" };
        await first?.addCookies([cookie]);
        expect(await first?.cookies("http://localhost/")).toHaveLength(1);
        expect(await second?.cookies("http://localhost/")).toEqual([]);
        await one.close();
        expect(await (await two.newPage()).evaluate("1 + 1")).toBe(2);
      } finally {
        await Promise.all([one.close(), two.close()]);
      }
    });
  });
}
