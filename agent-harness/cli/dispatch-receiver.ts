import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { HintSource, ReceiverAddress } from "../sessions/index.ts";
import { errorNumber } from "../shared/errors.ts";

/** A webhook has a few kB; its last message may be long. */
const maxBodyBytes = 1024 * 1024;

type Listener = Parameters<HintSource["listen"]>[0];
type Hint = Parameters<Listener>[0] & { event: string };

/** Where the webhooks of one run are received. */
export interface HintReceiver extends HintSource, AsyncDisposable {
  address: ReceiverAddress;
  /** Waits for the last webhook of each of these agents, for at most so long. */
  untilPosted(agents: readonly { id: string; deleted: boolean }[], limitMs: number): Promise<void>;
}

/**
 * Receives the webhooks of one run on a free port of loopback, and takes them only from who was given the token. A run that
 * is taken up again listens where it did before, if nobody else does by now: its agents' webhooks still go there.
 */
export async function openHintReceiver(before?: ReceiverAddress): Promise<HintReceiver> {
  const token = before?.token ?? randomBytes(32).toString("hex");
  const listeners: Listener[] = [];
  const posted: Hint[] = [];
  const news = new EventEmitter();
  const server = createServer(async (request, response) => {
    const hint = request.method === "POST" ? await readHint(request, token) : 405;
    if (typeof hint === "number") return void response.writeHead(hint).end();
    for (const listener of listeners) listener(hint);
    response.writeHead(204).end(() => {
      posted.push(hint);
      news.emit("posted");
    });
  });
  await listen(server, before?.port);
  const { port } = server.address() as AddressInfo;
  return {
    address: { port, token },
    callback: { url: `http://127.0.0.1:${port}/hints`, token },
    listen: (listener) => void listeners.push(listener),
    untilPosted: async (agents, limitMs) => {
      const signal = AbortSignal.timeout(limitMs);
      const isLast = ({ event }: Hint, deleted: boolean): boolean => !deleted || event === "agent_exited";
      const isMissing = (): boolean =>
        agents.some(({ id, deleted }) => !posted.some((hint) => hint.agentId === id && isLast(hint, deleted)));
      while (isMissing() && !signal.aborted) await once(news, "posted", { signal }).catch(() => undefined);
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server, port = 0): Promise<void> {
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    if (port === 0 || errorNumber(error) !== "EADDRINUSE") throw error;
    await listen(server);
  }
}

/** What was posted, or the status of the refusal. */
async function readHint(request: IncomingMessage, token: string): Promise<Hint | number> {
  const [, given = ""] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (!timingSafeEqual(digest(given), digest(token))) return 401;
  const body = await readBody(request);
  return body === undefined ? 413 : (hintOf(body) ?? 400);
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

function hintOf(body: string): Hint | undefined {
  try {
    const { project, agentId, event } = JSON.parse(body) as Record<string, unknown>;
    if (typeof project !== "string" || typeof agentId !== "string") return undefined;
    return { project, agentId, event: String(event) };
  } catch {
    // Nothing that a harness posts.
    return undefined;
  }
}
