import type { Entry } from "common";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { Entries } from "./entries.tsx";

const entry = (change: Partial<Entry> = {}): Entry => ({
  id: 1,
  name: "Ada",
  message: "Hello",
  createdAt: "2026-01-31T12:00:00.000Z",
  picture: null,
  ...change,
});

describe("Entries", () => {
  it("shows who wrote what, and when", () => {
    const html = renderToStaticMarkup(<Entries entries={[entry()]} />);
    expect(html).toContain("<h3>Ada</h3>");
    expect(html).toContain(`<time dateTime="2026-01-31T12:00:00.000Z">31 January 2026</time>`);
    expect(html).not.toContain("<img");
  });

  it("shows a picture, described", () => {
    const html = renderToStaticMarkup(<Entries entries={[entry({ picture: "/api/v1/entries/1/picture" })]} />);
    expect(html).toMatch(/<img src="\/api\/v1\/entries\/1\/picture" alt="Added by Ada"/);
  });

  it("runs nothing that a visitor wrote", () => {
    const html = renderToStaticMarkup(<Entries entries={[entry({ message: "<script>alert(1)</script>" })]} />);
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toContain("<script");
  });

  it("invites the first visitor", () => {
    expect(renderToStaticMarkup(<Entries entries={[]} />)).toContain("Be the first");
  });
});
