import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { homePaths, removeFolder } from "../../shared/paths.ts";
import { type Chromium, findChromium } from "../embedded/chromium.ts";
import { type BrowserProcess, startBrowser } from "./browser-process.ts";
import { numberSetting, type RunningServer, runWhenEntry } from "./entry.ts";
import { listenOnLoopback } from "./listen.ts";
import { Full, Slots } from "./slots.ts";

export interface BrowserOptions {
  port: number;
  /** How many browsers run at once, and how many clients may wait for one. */
  concurrent?: number;
  queued?: number;
  /** Folder of the profiles; emptied at the start, since nobody else's are in it. */
  profiles?: string;
  chromium?: Chromium;
}

interface Pool {
  chromium: Chromium;
  profiles: string;
  slots: Slots;
  clients: Map<Duplex, Promise<void>>;
}

/**
 * A browser at `ws://127.0.0.1:<port>`, spoken to by CDP as with browserless: each connection gets a fresh Chromium with a
 * profile of its own, which ends with the connection.
 */
export async function startBrowserServer(options: BrowserOptions): Promise<RunningServer> {
  const profiles = options.profiles ?? join(homePaths().browser, "profiles");
  const slots = new Slots(options.concurrent ?? 10, options.queued ?? 10);
  const pool: Pool = { chromium: options.chromium ?? (await findChromium()), profiles, slots, clients: new Map() };
  const server = createServer((request, response) => answer(pool, request, response));
  server.on("upgrade", (request, socket) => {
    const done = serveClient(pool, request, socket).finally(() => pool.clients.delete(socket));
    pool.clients.set(socket, done);
  });
  const running = await listenOnLoopback(server, options.port);
  // Only now is it sure that no other server of ours uses the folder.
  await removeFolder(profiles, join(profiles, ".."));
  return {
    port: running.port,
    stop: async () => {
      const clients = [...pool.clients];
      for (const [socket] of clients) socket.destroy();
      await Promise.all([running.stop(), ...clients.map(([, done]) => done)]);
    },
  };
}

function answer(pool: Pool, request: IncomingMessage, response: ServerResponse): void {
  const [status, content] = answerOf(pool, request);
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(content)}\n`);
}

function answerOf({ chromium, slots }: Pool, request: IncomingMessage): [status: number, content: object] {
  const refusal = refusalOf(request);
  if (refusal !== undefined) return [403, { error: refusal }];
  const path = request.url?.split("?")[0]?.replace(/\/$/, "");
  if (path === "/health") {
    return [200, { browser: `Chromium ${chromium.version}`, running: slots.running, queued: slots.queued }];
  }
  if (path !== "/json/version") return [404, { error: "Connect by WebSocket, or GET /json/version or /health." }];
  const webSocketDebuggerUrl = `ws://${request.headers.host}/`;
  return [200, { Browser: `Chrome/${chromium.version}`, "Protocol-Version": "1.3", webSocketDebuggerUrl }];
}

/** Why a request is not served: a page in somebody's browser can send requests to 127.0.0.1 too, and must not drive ours. */
function refusalOf({ headers }: IncomingMessage): string | undefined {
  if (headers.origin !== undefined) return "Pages of the web may not use this browser.";
  if (/^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(headers.host ?? "")) return undefined;
  return `This server is 127.0.0.1, not ${headers.host ?? "(no host)"}.`;
}

/** Serves one client from its upgrade to its end; never throws. */
async function serveClient(pool: Pool, request: IncomingMessage, socket: Duplex): Promise<void> {
  const gone = new AbortController();
  socket.on("error", () => socket.destroy());
  socket.once("close", () => gone.abort(new Error("The client left.")));
  const refusal = refusalOf(request);
  if (refusal !== undefined) return refuse(socket, "403 Forbidden", refusal);
  let giveBack: (() => void) | undefined;
  let browser: BrowserProcess | undefined;
  try {
    giveBack = await pool.slots.take(gone.signal);
    browser = await startBrowser(pool.chromium, pool.profiles);
    if (!gone.signal.aborted) await relay(request, socket, browser);
  } catch (error) {
    if (error instanceof Full) refuse(socket, "429 Too Many Requests", error.message);
    else if (!gone.signal.aborted) refuse(socket, "503 Service Unavailable", report(error));
  } finally {
    await browser?.stop().catch(report);
    giveBack?.();
  }
}

/** Passes bytes both ways until one side ends; the handshake goes to Chromium's own endpoint, so that it is Chromium who answers. */
function relay(request: IncomingMessage, client: Duplex, browser: BrowserProcess): Promise<void> {
  const inside: Socket = connect({ port: browser.port, host: "127.0.0.1", noDelay: true });
  const headers = request.rawHeaders.flatMap((name, at, all) => {
    if (at % 2 === 1) return [];
    return name.toLowerCase() === "host" ? [`Host: 127.0.0.1:${browser.port}`] : [`${name}: ${all[at + 1] ?? ""}`];
  });
  inside.write(`GET ${browser.path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
  client.pipe(inside);
  inside.pipe(client);
  return new Promise((resolve) => {
    const end = (): void => {
      client.destroy();
      inside.destroy();
      resolve();
    };
    inside.once("error", end);
    inside.once("close", end);
    client.once("close", end);
    void browser.ended.then(end);
  });
}

function refuse(socket: Duplex, status: string, text: string): void {
  const body = `${text}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    // Nobody is asked to read it.
    () => socket.destroy(),
  );
}

function report(error: unknown): string {
  const text = errorText(error);
  process.stderr.write(`browser: ${error instanceof HarnessError ? `${error.code}: ` : ""}${text}\n`);
  return text;
}

await runWhenEntry(import.meta.url, "browser", () =>
  startBrowserServer({
    port: numberSetting("BROWSER_PORT"),
    concurrent: numberSetting("BROWSER_CONCURRENT", 10),
    queued: numberSetting("BROWSER_QUEUED", 10),
  }),
);
