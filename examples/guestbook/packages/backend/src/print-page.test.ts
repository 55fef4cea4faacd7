import { describe, expect, it } from "vitest";
import { type PrintedEntry, printPage } from "./print-page.ts";

const entry = (change: Partial<PrintedEntry> = {}): PrintedEntry => ({
  id: 1,
  name: "Ada",
  message: "Hello",
  createdAt: "2026-01-31T23:30:00.000Z",
  picture: null,
  ...change,
});

describe("printPage", () => {
  it("shows who wrote what, and when", () => {
    const page = printPage([entry()]);
    expect(page).toContain("<h2>Ada</h2>");
    expect(page).toContain("31 January 2026");
    expect(page).toContain("1 entry");
  });

  it("runs nothing that a visitor wrote", () => {
    const page = printPage([
      entry({ name: `<script>alert("1")</script>`, message: `<img src=x onerror='alert(1)'> & more` }),
    ]);
    expect(page).not.toMatch(/<script|<img/);
    expect(page).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(page).toContain("&lt;img src=x onerror=&#39;alert(1)&#39;&gt; &amp; more");
  });

  it("shows a picture, and lets none break out of its attribute", () => {
    expect(printPage([entry({ picture: "data:image/png;base64,AA==" })])).toContain(
      `<img src="data:image/png;base64,AA==" alt="">`,
    );
    expect(printPage([entry({ picture: `" onload="alert(1)` })])).toContain(`src="&quot; onload=&quot;alert(1)"`);
  });
});
