import { chromium } from "playwright-core";
import { describe, expect, it } from "vitest";

/** The suite of the browser; `get` gives its WebSocket URL. */
export function browserContract(get: () => string): void {
  describe("browser", () => {
    it("renders a page to PDF", async () => {
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
