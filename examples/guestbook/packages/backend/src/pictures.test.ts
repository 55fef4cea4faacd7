import { describe, expect, it } from "vitest";
import { pictureTypeOf } from "./pictures.ts";

const bytes = (hex: string) => Buffer.concat([Buffer.from(hex, "hex"), Buffer.alloc(16)]);

describe("pictureTypeOf", () => {
  it.each([
    ["image/jpeg", "ffd8ffe0"],
    ["image/png", "89504e470d0a1a0a"],
    ["image/gif", "474946383961"],
    ["image/webp", "524946460000000057454250"],
  ])("knows %s", (type, hex) => {
    expect(pictureTypeOf(bytes(hex))).toBe(type);
  });

  it("knows nothing else, least of all what a browser would run", () => {
    expect(pictureTypeOf(Buffer.from("<svg onload=alert(1)>"))).toBeUndefined();
    expect(pictureTypeOf(Buffer.from("<html>"))).toBeUndefined();
    // RIFF, but a sound.
    expect(pictureTypeOf(bytes("524946460000000057415645"))).toBeUndefined();
    expect(pictureTypeOf(Buffer.alloc(0))).toBeUndefined();
  });
});
