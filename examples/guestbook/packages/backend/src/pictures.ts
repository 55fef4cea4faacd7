import type { PictureType } from "common";

/** A picture whose kind was found from its bytes. */
export interface Picture {
  bytes: Buffer;
  type: PictureType;
}

/** The kind of picture that the bytes really are, whatever the upload claimed; undefined for anything else. */
export function pictureTypeOf(bytes: Buffer): PictureType | undefined {
  const begins = (hex: string, at = 0) => bytes.subarray(at, at + hex.length / 2).toString("hex") === hex;
  if (begins("ffd8ff")) return "image/jpeg";
  if (begins("89504e470d0a1a0a")) return "image/png";
  if (begins("474946383761") || begins("474946383961")) return "image/gif";
  if (begins("52494646") && begins("57454250", 8)) return "image/webp";
  return undefined;
}
