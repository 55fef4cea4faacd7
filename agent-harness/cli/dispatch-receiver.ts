import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { HintSource } from "../sessions/index.ts";

/** A webhook has a few kB; its last message may be long. */
const maxBodyBytes = 1024 * 1024;

/** Receives the webhooks of one run on a free port of loopback, and takes them only from who was given the token. */
export async function openHintReceiver(): Promise<HintSource & AsyncDisposable> {
  const token = randomBytes(32).toString("hex");
  const listeners: Parameters<HintSource["listen"]>[0][] = [];
  const server = createServer(async (request, response) => {
    const status = request.method === "POST" ? await take(request, token, listeners) : 405;
    response.writeHead(status).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    callback: { url: `http://127.0.0.1:${port}/hints`, token },
    listen: (listener) => void listeners.push(listener),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function take(
  request: IncomingMessage,
  token: string,
  listeners: readonly Parameters<HintSource["listen"]>[0][],
): Promise<number> {
  const [, given = ""] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (!timingSafeEqual(digest(given), digest(token))) return 401;
  const body = await readBody(request);
  if (body === undefined) return 413;
  const hint = hintOf(body);
  if (hint === undefined) return 400;
  for (const listener of listeners) listener(hint);
  return 204;
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  let body = "";
  for await (const part of request.setEncoding("utf8")) {
    body += String(part);
    if (body.length > maxBodyBytes) return undefined;
  }
  return body;
}

function hintOf(body: string): { project: string; agentId: string } | undefined {
  try {
    const { project, agentId } = JSON.parse(body) as Record<string, unknown>;
    return typeof project === "string" && typeof agentId === "string" ? { project, agentId } : undefined;
  } catch {
    // Nothing that a harness posts.
    return undefined;
  }
}
