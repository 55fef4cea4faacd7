import { readFile } from "node:fs/promises";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { templatePath } from "../shared/paths.ts";
import { apiPrefix } from "./route.ts";

/** What the page may do: run its own script and talk to this server, nothing else. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const files = [
  ["/inspect", "inspect.html", "text/html; charset=utf-8"],
  ["/inspect.js", "inspect.js", "text/javascript; charset=utf-8"],
  ["/inspect-parts.js", "inspect-parts.js", "text/javascript; charset=utf-8"],
  ["/inspect.css", "inspect.css", "text/css; charset=utf-8"],
] as const;

/** The page on which a person sees the agents. It holds no data itself: it asks for the token, and then the API. */
export function addInspectPage(app: OpenAPIHono): void {
  for (const [path, file, type] of files) app.get(path, async (c) => await page(c, file, type));
  // Who comes without a path is told where things are, a person by a page.
  app.get("/", async (c) => {
    const isPerson = c.req.header("accept")?.includes("text/html") === true;
    if (isPerson) return await page(c, "inspect-index.html", "text/html; charset=utf-8");
    return c.json({
      page: "/inspect",
      api: apiPrefix,
      document: `${apiPrefix}/openapi.json`,
      health: `${apiPrefix}/health`,
    });
  });
}

async function page(c: Context, file: string, type: string): Promise<Response> {
  const headers = { "content-type": type, "content-security-policy": policy };
  return c.body(await readFile(templatePath(file), "utf8"), 200, headers);
}
