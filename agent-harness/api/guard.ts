import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, Next } from "hono";
import { HarnessError } from "../shared/errors.ts";
import { apiPrefix } from "./route.ts";

/** The names by which a program of this machine reaches a server that listens on loopback only. */
const loopbackNames = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Refuses what a web page can make a browser send: a request to a name that was pointed to this machine (DNS rebinding),
 * and one that comes from a page that is not ours.
 */
export function guardHost(bound: string): (c: Context, next: Next) => Promise<void> {
  const allowed = new Set([...loopbackNames, bound.includes(":") ? `[${bound}]` : bound]);
  return async (c, next) => {
    const host = (c.req.header("host") ?? "").toLowerCase();
    if (!allowed.has(host.replace(/:\d+$/, ""))) {
      throw new HarnessError("HOST_FORBIDDEN", `This server is not ${JSON.stringify(host.slice(0, 100))}.`, {
        hint: `Use one of its own names: ${[...allowed].join(", ")}`,
      });
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && origin.toLowerCase() !== `http://${host}`) {
      throw new HarnessError(
        "HOST_FORBIDDEN",
        `Pages of ${JSON.stringify(origin.slice(0, 100))} may not use this API.`,
        {
          hint: "Call it from a program, or from its own page: /inspect",
        },
      );
    }
    await next();
  };
}

/** Lets through who has the token, and everybody to what is open. */
export function guardToken(
  token: string,
  isOpen: (path: string) => boolean,
): (c: Context, next: Next) => Promise<void> {
  const expected = digest(token);
  return async (c, next) => {
    if (c.req.path.startsWith(`${apiPrefix}/`) && !isOpen(c.req.path))
      requireToken(c.req.header("authorization"), expected);
    await next();
  };
}

function requireToken(header: string | undefined, expected: Buffer): void {
  const hint =
    "Send Authorization: Bearer <token>; it is HARNESS_BEARER_TOKEN, else in the file api-token of the harness's home.";
  if (header === undefined) throw new HarnessError("UNAUTHORIZED", "Missing bearer token", { hint });
  const [, given] = /^bearer +(\S+)\s*$/i.exec(header) ?? [];
  // Hashed first, since only texts of the same length can be compared in constant time.
  if (given === undefined || !timingSafeEqual(digest(given), expected)) {
    throw new HarnessError("UNAUTHORIZED", "Invalid bearer token", { hint });
  }
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
