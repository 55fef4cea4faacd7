import type { z } from "@hono/zod-openapi";
import { asHarnessError, type ErrorCode, type HarnessError, httpStatusOf } from "../shared/errors.ts";
import type { errorEnvelope } from "./schemas.ts";

/** The codes that seed 001 has another word for. */
const apiCodes: Partial<Record<ErrorCode, string>> = { INTERNAL: "INTERNAL_ERROR" };

/** Any thrown value as what a client gets: the envelope, and the status of its code. */
export function errorReply(thrown: unknown): Response {
  const error = asHarnessError(thrown);
  const status = httpStatusOf(error.code);
  const headers = new Headers({ "content-type": "application/json" });
  if (status === 401) headers.set("www-authenticate", "Bearer");
  const { allow } = error.context;
  if (status === 405 && typeof allow === "string") headers.set("allow", allow);
  return new Response(JSON.stringify(envelopeOf(error)), { status, headers });
}

/** The JSON of an error. */
export function envelopeOf(error: HarnessError): z.output<typeof errorEnvelope> {
  return {
    error: apiCodes[error.code] ?? error.code,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.leftBehind === undefined ? {} : { leftBehind: error.leftBehind }),
  };
}
