import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { errorText, HarnessError } from "../shared/errors.ts";
import { guardedLookup, requirePostable } from "./webhook-address.ts";

/** One request to a receiver. */
export interface Post {
  method: "POST" | "GET";
  url: string;
  headers: Record<string, string>;
  body?: string;
}

export interface PostOptions {
  /** Whether addresses of inner networks may be connected to. */
  allowPrivate: boolean;
  timeoutMs?: number;
}

/** What a receiver answered, or why it did not. */
export interface PostResult {
  ok: boolean;
  status: number | null;
  /** The beginning of what it answered. */
  text: string;
  error: string | null;
  /** How long it asks us to wait before the next attempt. */
  retryAfterMs?: number;
}

/** How long a receiver has for everything: being found, connected to, and answering. */
const usualTimeoutMs = 10_000;

/** As much of an answer as is read. */
const keptBytes = 2000;

/** Posts once, to the address that was allowed and to no other: no redirect is followed, no proxy used, no connection kept. Never throws. */
export async function postOnce(post: Post, options: PostOptions): Promise<PostResult> {
  const timeoutMs = options.timeoutMs ?? usualTimeoutMs;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await exchange(post, options, signal);
  } catch (error) {
    const text = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : errorText(error);
    return { ok: false, status: null, text: "", error: text };
  }
}

/** A URL that a webhook can go to. */
export function parseTarget(text: string, options: Pick<PostOptions, "allowPrivate">): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new HarnessError("INVALID_REQUEST", `A webhook is posted to an http or https URL, not to ${quoted(text)}.`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new HarnessError("INVALID_REQUEST", "A webhook's URL holds no password; give a token instead.");
  }
  requirePostable(url, options);
  return url;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 200));

async function exchange(post: Post, options: PostOptions, signal: AbortSignal): Promise<PostResult> {
  const url = parseTarget(post.url, options);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  const request = send(url, {
    method: post.method,
    headers: { ...post.headers, "content-length": String(Buffer.byteLength(post.body ?? "")) },
    // A connection of its own: one that is kept would not be looked up again.
    agent: false,
    lookup: guardedLookup(options),
    signal,
  });
  const response = await answerTo(request, post.body);
  const status = response.statusCode ?? 0;
  const text = await beginningOf(response);
  const retryAfterMs = retryAfter(response.headers["retry-after"]);
  const ok = status >= 200 && status < 300;
  return {
    ok,
    status,
    text,
    error: ok ? null : failureOf(status),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

const failureOf = (status: number): string =>
  status >= 300 && status < 400 ? `HTTP ${status}: redirects are not followed` : `HTTP ${status}`;

function answerTo(request: ClientRequest, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // Kept on, since an aborted request tells it again after it was answered.
    request.on("error", reject);
    request.end(body);
  });
}

/** The first bytes of an answer; the rest is not taken. That it breaks off changes nothing: the status has been said. */
async function beginningOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      size += part.length;
      if (size >= keptBytes) break;
    }
  } catch (error) {
    parts.push(Buffer.from(` (broke off: ${errorText(error)})`));
  }
  return Buffer.concat(parts).subarray(0, keptBytes).toString("utf8").trim();
}

/** `Retry-After` in seconds; a date is what hardly anybody sends. */
function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
