import { readFile } from "node:fs/promises";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { templatePath } from "../shared/paths.ts";

/** What the page may do: run its own script and talk to this server, nothing else. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const files = [
  ["/inspect", "inspect.html", "text/html; charset=utf-8"],
  ["/inspect.js", "inspect.js", "text/javascript; charset=utf-8"],
  ["/inspect.css", "inspect.css", "text/css; charset=utf-8"],
] as const;

/** The page on which a person sees the agents. It holds no data itself: it asks for the token, and then the API. */
export function addInspectPage(app: OpenAPIHono): void {
  for (const [path, file, type] of files) {
    app.get(path, async (c) =>
      c.body(await readFile(templatePath(file), "utf8"), 200, {
        "content-type": type,
        "content-security-policy": policy,
      }),
    );
  }
}
