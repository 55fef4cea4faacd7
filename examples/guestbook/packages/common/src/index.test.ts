import { describe, expect, it } from "vitest";
import { newEntrySchema } from "./index.ts";

const wrong = (entry: unknown): string[] =>
  newEntrySchema.safeParse(entry).error?.issues.map((issue) => issue.path.join(".")) ?? [];

describe("newEntrySchema", () => {
  it("trims what the visitor wrote", () => {
    expect(newEntrySchema.parse({ name: " Ada ", message: "\nHello\n" })).toEqual({ name: "Ada", message: "Hello" });
  });

  it("keeps line breaks and quotes of a message", () => {
    const message = `It's "fine",\nreally: <b>$HOME</b>`;
    expect(newEntrySchema.parse({ name: "Ada", message }).message).toBe(message);
  });

  it("names every field that is missing or blank", () => {
    expect(wrong({})).toEqual(["name", "message"]);
    expect(wrong({ name: "  ", message: "\n" })).toEqual(["name", "message"]);
  });

  it("refuses a name of two lines, which could forge a mail header", () => {
    expect(wrong({ name: "Ada\r\nBcc: everyone@example.test", message: "Hello" })).toEqual(["name"]);
  });

  it("refuses texts that are too long, or that Postgres cannot store", () => {
    expect(wrong({ name: "a".repeat(81), message: "b".repeat(2001) })).toEqual(["name", "message"]);
    expect(wrong({ name: "Ada", message: "a\0b" })).toEqual(["message"]);
  });
});
