import { buffer } from "node:stream/consumers";
import type { Entry } from "common";
import type { Bucket } from "./bucket.ts";
import type { Context } from "./context.ts";
import { transaction } from "./database.ts";
import { listEntries, pictureKey } from "./entries.ts";
import { pictureTypeOf } from "./pictures.ts";
import { type PrintedEntry, printPage } from "./print-page.ts";

/** Key of the PDF in the bucket. */
export const pdfKey = "guestbook.pdf";

/** The PDF holds the newest entries only: all of their pictures are in memory at once. */
const printedEntries = 50;

/** Makes the PDF of the guestbook as it is now, and stores it in the bucket. */
export async function makePdf({ env, pool, bucket }: Context): Promise<void> {
  await transaction(pool, async (client) => {
    // One at a time, whichever process: a slower, older PDF must not overwrite a newer one.
    await client.query("select pg_advisory_xact_lock(hashtext($1))", [pdfKey]);
    const entries: PrintedEntry[] = [];
    for (const entry of await listEntries(client, printedEntries)) {
      entries.push({ ...entry, picture: await pictureData(bucket, entry) });
    }
    const pdf = await render(printPage(entries), `ws://${env.HEADLESS_BROWSER_HOST}:${env.HEADLESS_BROWSER_PORT}`);
    await bucket.put(pdfKey, pdf, "application/pdf");
  });
}

// Pictures travel inside the page, so the browser may run where it cannot reach the API: in a container, say.
async function pictureData(bucket: Bucket, entry: Entry): Promise<string | null> {
  const stream = entry.picture === null ? undefined : await bucket.find(pictureKey(entry.id));
  if (!stream) return null;
  const bytes = await buffer(stream);
  const type = pictureTypeOf(bytes);
  return type === undefined ? null : `data:${type};base64,${bytes.toString("base64")}`;
}

async function render(html: string, endpoint: string): Promise<Buffer> {
  // Loaded here: it takes longer to load than all the rest of the application.
  const { chromium } = await import("playwright-core");
  const browser = await chromium.connectOverCDP(endpoint, { timeout: 10_000 });
  try {
    // What a visitor wrote may neither run nor reach the network, should it ever get past the escaping.
    const context = await browser.newContext({ javaScriptEnabled: false, offline: true });
    try {
      const page = await context.newPage();
      await page.setContent(html, { waitUntil: "load", timeout: 10_000 });
      const margin = "20mm";
      return await page.pdf({ format: "A4", margin: { top: margin, right: margin, bottom: margin, left: margin } });
    } finally {
      await context.close();
    }
  } finally {
    // Ends our connection; the browser is shared and goes on.
    await browser.close();
  }
}
