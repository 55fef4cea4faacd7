import type { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HarnessError } from "../shared/errors.ts";
import { readJson } from "./body.ts";
import { errorEnvelope } from "./schemas.ts";
import { checked } from "./validation.ts";

/** The prefix of every route. */
export const apiPrefix = "/api/v1";

type Fields = z.ZodObject;
type Fitting<S> = S extends z.ZodType ? z.output<S> : undefined;

/** What a route is called with. */
export interface RouteRequest<Query, Body> {
  /** The names in the path; of the shape that such names have. */
  params: { name: string; id: string };
  query: Query;
  body: Body;
  /** `Idempotency-Key`: a request that is sent again with the same one does nothing again. */
  idempotencyKey: string | undefined;
  c: Context;
}

/** One route as data and a handler: what is checked, what openapi.json says, and what is done. */
export interface Route<Query extends Fields | undefined, Body extends z.ZodType | undefined> {
  method: "get" | "post" | "patch" | "delete";
  /** Below the prefix, such as `/projects/{name}`. */
  path: string;
  summary: string;
  query?: Query;
  body?: Body;
  /** Whether `Idempotency-Key` means something here. */
  idempotent?: boolean;
  /** Whether it needs no token. */
  open?: boolean;
  /** What it gives when all goes well. */
  answer: { status: 200 | 201 | 202 | 204; description: string; schema?: z.ZodType; type?: string };
  run: (request: RouteRequest<Fitting<Query>, Fitting<Body>>) => Promise<Response> | Response;
}

/** What is kept of a route to tell a wrong method from a wrong path. */
export interface KnownRoute {
  method: string;
  pattern: RegExp;
}

/** Adds a route to the program and to its description. */
export function addRoute<Query extends Fields | undefined, Body extends z.ZodType | undefined>(
  app: OpenAPIHono,
  route: Route<Query, Body>,
): KnownRoute {
  app.openAPIRegistry.registerPath(describe(route));
  const path = apiPrefix + route.path;
  app.on(route.method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ":$1"), async (c) => {
    const params = requireNames(c.req.param() as Record<string, string>);
    const query = check("query", route.query, c.req.query()) as Fitting<Query>;
    const idempotencyKey = route.idempotent ? requireKey(c.req.header("idempotency-key")) : undefined;
    const json = route.body === undefined ? undefined : await readJson(c.req.raw);
    const body = check("body", route.body, json) as Fitting<Body>;
    return await route.run({ params, query, body, idempotencyKey, c });
  });
  return { method: route.method.toUpperCase(), pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`) };
}

function check(where: string, schema: z.ZodType | undefined, value: unknown): unknown {
  if (schema === undefined) return undefined;
  if (value !== undefined || schema.safeParse(undefined).success) return checked(where, schema, value);
  // What has to be in it is said at once.
  checked(`The ${where} is missing, give JSON; ${where}`, schema, {});
  throw new HarnessError("INVALID_REQUEST", `The ${where} is missing: give JSON.`);
}

/** Names that nothing can have are not looked for. */
function requireNames({ name = "", id = "" }: Record<string, string>): { name: string; id: string } {
  const fits = (text: string): boolean => /^[a-zA-Z0-9_-]{0,64}$/.test(text);
  if (!fits(name)) throw new HarnessError("PROJECT_NOT_FOUND", `There is no project ${quoted(name)}.`);
  if (!fits(id)) throw new HarnessError("AGENT_NOT_FOUND", `There is no agent ${quoted(id)} in the project ${name}.`);
  return { name, id };
}

function requireKey(key: string | undefined): string | undefined {
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new HarnessError("INVALID_REQUEST", "Idempotency-Key is 1 to 255 characters of ASCII without blanks.");
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));

type Description = Parameters<OpenAPIHono["openAPIRegistry"]["registerPath"]>[0];

function describe(route: Route<Fields | undefined, z.ZodType | undefined> | Route<never, never>): Description {
  const { status, description, schema, type = "application/json" } = route.answer;
  const { query, body } = route as { query?: Fields; body?: z.ZodType };
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const header = (name: string, about: string) => ({
    name,
    in: "header" as const,
    required: false,
    description: about,
    schema: { type: "string" as const },
  });
  return {
    method: route.method,
    path: route.path,
    summary: route.summary,
    ...(route.open ? { security: [] } : {}),
    parameters: [
      ...names.map((name) => ({
        name,
        in: "path" as const,
        required: true,
        schema: { type: "string" as const },
      })),
      ...(route.idempotent
        ? [header("Idempotency-Key", "sent again with the same key, a request does nothing again")]
        : []),
    ],
    request: {
      ...(query === undefined ? {} : { query }),
      ...(body === undefined ? {} : { body: { required: true, content: { "application/json": { schema: body } } } }),
    },
    responses: {
      [status]: { description, ...(schema === undefined ? {} : { content: { [type]: { schema } } }) },
      default: {
        description: "what went wrong",
        content: { "application/json": { schema: errorEnvelope } },
      },
    },
  };
}
