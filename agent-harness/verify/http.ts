import { get as getPlain, type IncomingMessage } from "node:http";
import { get as getSecure } from "node:https";
import { errorNumber, errorText } from "../shared/errors.ts";
import { shorten } from "./error-path.ts";

const timeoutMs = 10_000;
const maxBody = 4096;
const maxExcerpt = 200;

/** Asks a URL once, following nothing. Undefined when it answers 200, else what was wrong. */
export async function checkUrl(url: string, signal: AbortSignal): Promise<string | undefined> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await request(url, AbortSignal.any([signal, limit]));
    const body = await readStart(response);
    if (response.statusCode === 200) return undefined;
    const { location } = response.headers;
    const excerpt = location === undefined ? shorten(body, maxExcerpt) : `redirect to ${location}`;
    return `GET ${url} answered ${response.statusCode}${excerpt === "" ? "" : `: ${excerpt}`}`;
  } catch (error) {
    if (limit.aborted) return `GET ${url} did not answer within ${timeoutMs} ms`;
    return `GET ${url} could not be reached: ${errorNumber(error) ?? errorText(error)}`;
  }
}

/** Not `fetch`: it keeps connections that a restarted process has closed, and refuses some ports that a stack may have. */
function request(url: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith("https:") ? getSecure : getPlain;
    get(url, { agent: false, signal }, resolve).once("error", reject);
  });
}

async function readStart(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    // An endless answer is cut; leaving the loop closes the connection.
    if (sizeBytes >= maxBody) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}
