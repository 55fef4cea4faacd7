import type { IncomingMessage, ServerResponse } from "node:http";
import { S3Error } from "./s3-errors.ts";
import type { Store } from "./s3-store.ts";
import { toXml, type Xml } from "./s3-xml.ts";

/** One request on its way to an answer, its address taken apart. */
export interface Exchange {
  store: Store;
  request: IncomingMessage;
  response: ServerResponse;
  /** The path, decoded. */
  path: string;
  query: URLSearchParams;
  bucket: string;
  key: string;
}

const maxKeyBytes = 1024;

/** Takes the address of a request apart; InvalidURI where it cannot be decoded. */
export function readExchange(store: Store, request: IncomingMessage, response: ServerResponse): Exchange {
  const [rawPath = "/", ...rawQuery] = (request.url ?? "/").split("?");
  const path = decodePath(rawPath);
  const [, bucket = "", ...key] = path.split("/");
  const exchange = {
    store,
    request,
    response,
    path,
    query: new URLSearchParams(rawQuery.join("?")),
    bucket,
    key: key.join("/"),
  };
  if (Buffer.byteLength(exchange.key) > maxKeyBytes)
    throw new S3Error("KeyTooLongError", "The key is longer than 1024 bytes.");
  return exchange;
}

function decodePath(path: string): string {
  try {
    const decoded = decodeURIComponent(path);
    if (!decoded.includes("\0")) return decoded;
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  throw new S3Error("InvalidURI", "The path of the URL cannot be decoded.");
}

/** Answers with an XML document. */
export function sendXml({ request, response }: Exchange, root: string, content: Xml, status = 200): void {
  const text = toXml(root, content);
  response.writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(text) });
  response.end(request.method === "HEAD" ? undefined : text);
}

/** Answers with headers only. */
export function sendEmpty({ response }: Exchange, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, status === 204 || status === 304 ? headers : { "content-length": "0", ...headers });
  response.end();
}

/** A number of the query within its limits, or what it is when nobody says. */
export function numberOf({ query }: Exchange, name: string, otherwise: number, max: number): number {
  const text = query.get(name);
  if (text === null || text === "") return otherwise;
  if (!/^\d{1,10}$/.test(text)) throw new S3Error("InvalidArgument", `${name} is not a whole number.`);
  return Math.min(Number(text), max);
}
