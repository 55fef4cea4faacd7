import { S3Error } from "./s3-errors.ts";

/** A tree of elements: text, or child elements by name; a list repeats its element, undefined leaves it out. */
export type Xml = string | number | boolean | { [name: string]: Xml | Xml[] | undefined };

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** An XML document with one root element in the S3 namespace. */
export function toXml(root: string, content: Xml): string {
  const body = writeContent(content);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${body}</${root}>`;
}

function writeContent(content: Xml): string {
  if (typeof content !== "object") return escapeText(String(content));
  return Object.entries(content)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => ({ name, one })))
    .map(({ name, one }) => (one === undefined ? "" : `<${name}>${writeContent(one)}</${name}>`))
    .join("");
}

function escapeText(text: string): string {
  const escaped = text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
  // Characters that XML 1.0 cannot hold at all go as references, which the clients read back.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return escaped.replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The content of each element with this name, in order; for the two flat documents that clients send. */
export function elements(xml: string, name: string): string[] {
  // <!DOCTYPE and <!ENTITY have no place in a request; without them no text can grow while it is read.
  if (xml.includes("<!")) throw new S3Error("MalformedXML", "The XML has a declaration, which is not read here.");
  const pattern = new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([\\s\\S]*?)</(?:\\w+:)?${name}\\s*>`, "g");
  return [...xml.matchAll(pattern)].map((match) => match[1] ?? "");
}

/** The text of the first element with this name, or undefined. */
export function findElement(xml: string, name: string): string | undefined {
  const [first] = elements(xml, name);
  return first === undefined ? undefined : unescapeText(first);
}

function unescapeText(text: string): string {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? whole;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0x10ffff ? whole : String.fromCodePoint(code);
  });
}
