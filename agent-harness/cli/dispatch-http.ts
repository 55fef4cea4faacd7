import { type ErrorCode, errorCodes, errorText, HarnessError } from "../shared/errors.ts";

/** Requests to the API of a harness, each sent once; what fails is a HarnessError with `{ status, error }` as its context. */
export interface ApiHttp {
  json(method: string, path: string, options?: { body?: unknown; idempotencyKey?: string }): Promise<Json>;
  /** The body of a stream of events, once the server has answered. */
  stream(path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** A JSON object of which nothing is known. */
export type Json = Readonly<Record<string, unknown>>;

export interface ApiPlace {
  /** With the prefix, without a slash at its end. */
  baseUrl: string;
  token(): string | undefined;
  requestLimitMs: number;
}

/** Opens nothing yet: each request makes its own connection, or takes one that is still there. */
export function openApiHttp({ baseUrl, token, requestLimitMs }: ApiPlace): ApiHttp {
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    const bearer = token();
    const headers = new Headers(init.headers);
    if (bearer !== undefined) headers.set("authorization", `Bearer ${bearer}`);
    let response: Response;
    try {
      // A redirect would take the token along.
      response = await fetch(baseUrl + path, { ...init, headers, redirect: "error" });
    } catch (cause) {
      throw unreachable(baseUrl, cause);
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  };
  return {
    json: async (method, path, { body, idempotencyKey } = {}) => {
      const headers = {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      };
      const request = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      return await within(requestLimitMs, baseUrl, async (signal) => {
        const response = await send(path, { ...request, signal });
        try {
          const text = await response.text();
          return text === "" ? {} : objectOf(JSON.parse(text));
        } catch (cause) {
          throw unreachable(baseUrl, cause);
        }
      });
    },
    stream: async (path, signal) => {
      const { body } = await unlessAborted(signal, send(path, { signal, headers: { accept: "text/event-stream" } }));
      if (body === null) throw unreachable(baseUrl, new Error("the answer is empty"));
      return partsOf(body, baseUrl, signal);
    },
  };
}

/** Does something that may take so long, and no longer. */
async function within<T>(limitMs: number, baseUrl: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const error = unreachable(baseUrl, new Error(`no answer in ${limitMs} ms`));
  const timer = setTimeout(() => late.abort(error), limitMs);
  try {
    return await unlessAborted(late.signal, work(late.signal));
  } finally {
    clearTimeout(timer);
  }
}

/** The same result, or the signal's reason as soon as it is aborted: fetch forgets its signal when memory is collected. */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** The parts of a body until it ends or the signal is aborted; one that breaks is told like a connection that could not be made. */
async function* partsOf(
  body: ReadableStream<Uint8Array>,
  baseUrl: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await unlessAborted(signal, reader.read());
      if (done) return;
      yield value;
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(baseUrl, cause);
  } finally {
    // Closes the connection, unless it is gone already.
    reader.cancel().catch(() => undefined);
  }
}

/** An error when nobody answered, or the answer broke off. */
function unreachable(baseUrl: string, cause: unknown): HarnessError {
  const reason = cause instanceof Error && cause.cause !== undefined ? errorText(cause.cause) : errorText(cause);
  return new HarnessError("API_UNREACHABLE", `${baseUrl} does not answer: ${reason || "the connection broke"}.`, {
    hint: "Start it with: agent-harness serve; or say where it is: --base-url <url>",
    context: { error: "API_UNREACHABLE" },
    cause,
  });
}

/** What the server said instead of doing it, with its own code where we know it. */
async function refusalOf(response: Response): Promise<HarnessError> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  const envelope = parse(text);
  const error = typeof envelope["error"] === "string" ? envelope["error"] : `HTTP_${status}`;
  const message = typeof envelope["message"] === "string" ? envelope["message"] : text.slice(0, 200);
  const hint = typeof envelope["hint"] === "string" ? envelope["hint"] : undefined;
  const what = message === "" ? `The server answered with status ${status}.` : message;
  return new HarnessError(codeOf(error, status), what, { hint, context: { status, error } });
}

const byStatus: Readonly<Record<number, ErrorCode>> = { 400: "INVALID_REQUEST", 401: "UNAUTHORIZED", 404: "NOT_FOUND" };

/** A server of another version may have codes that we do not. */
const codeOf = (error: string, status: number): ErrorCode =>
  error in errorCodes ? (error as ErrorCode) : (byStatus[status] ?? (status < 500 ? "INVALID_REQUEST" : "INTERNAL"));

function parse(text: string): Json {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    // No JSON: a proxy's page, or nothing.
    return {};
  }
}

/** A value as an object; empty when it is none. */
export const objectOf = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};

/** A text; undefined when it is none, or empty. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;
