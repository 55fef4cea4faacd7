import { setMaxListeners } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { asHarnessError, errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { isLoopback } from "../shared/loopback.ts";
import { buildApp } from "./app.ts";
import { envelopeOf, errorReply } from "./errors.ts";
import type { ApiParts } from "./parts.ts";

export interface ApiOptions extends Omit<ApiParts, "stopping" | "heartbeatMs"> {
  /** An address of loopback; 127.0.0.1 usually. */
  host: string;
  /** 0 for one that is free. */
  port: number;
  heartbeatMs?: number;
  /** How long requests that are under way have when it stops. */
  stopLimitMs?: number;
}

/** The API while it listens. */
export interface Api {
  url: string;
  port: number;
  /** Ends event streams, waits for the requests that are under way, and frees the port. */
  stop(): Promise<void>;
}

const usualHeartbeatMs = 15_000;
const usualStopLimitMs = 10_000;

/** Serves the API; resolves when it listens. */
export async function openApi(options: ApiOptions): Promise<Api> {
  const { host, port, heartbeatMs = usualHeartbeatMs, stopLimitMs = usualStopLimitMs } = options;
  if (!isLoopback(host)) throw new HarnessError("INTERNAL", `The API is not for ${host}: it listens on loopback only.`);
  const stopping = new AbortController();
  // One for each open stream.
  setMaxListeners(0, stopping.signal);
  const app = buildApp({ ...options, heartbeatMs, stopping: stopping.signal }, host);
  const server = createServer(getRequestListener(app.fetch, { hostname: host, errorHandler: refuse }));
  server.on("clientError", answerBadRequest);
  const connections = trackConnections(server, stopping.signal);
  const address = await listen(server, host, port);
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    port: address.port,
    stop: () => stop(server, connections, stopping, stopLimitMs),
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)));
    server.listen({ host, port, exclusive: true }, () => {
      server.removeAllListeners("error");
      resolve(server.address() as AddressInfo);
    });
  });
}

function listenError(error: unknown, host: string, port: number): HarnessError {
  if (errorNumber(error) === "EADDRINUSE") {
    return new HarnessError("PORT_TAKEN", `Port ${port} of ${host} is in use.`, {
      hint: `See who has it: lsof -i :${port}; or take another: agent-harness serve --port ${port + 1}`,
      context: { port },
      cause: error,
    });
  }
  return new HarnessError("USAGE", `Port ${port} of ${host} cannot be listened on: ${errorText(error)}`, {
    cause: error,
  });
}

interface Connections {
  /** Ends those on which nothing is asked, also those on which nothing was ever asked, which Node's own way leaves open. */
  endIdle(): void;
}

function trackConnections(server: Server, stopping: AbortSignal): Connections {
  const open = new Set<Socket>();
  // By connection: how many requests are under way. Answers may close after their connection did.
  const asked = new WeakMap<Socket, number>();
  const count = (socket: Socket, by: number): void => void asked.set(socket, (asked.get(socket) ?? 0) + by);
  const endIfIdle = (socket: Socket): void => {
    if ((asked.get(socket) ?? 0) === 0) socket.destroy();
  };
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  server.on("request", ({ socket }, response) => {
    count(socket, 1);
    response.once("close", () => {
      count(socket, -1);
      // After what was written has left.
      if (stopping.aborted) setImmediate(endIfIdle, socket);
    });
  });
  return { endIdle: () => open.forEach(endIfIdle) };
}

async function stop(
  server: Server,
  connections: Connections,
  stopping: AbortController,
  limitMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  stopping.abort();
  connections.endIdle();
  const given = new AbortController();
  await Promise.race([closed, delay(limitMs, undefined, { signal: given.signal }).catch(() => undefined)]);
  given.abort();
  server.closeAllConnections();
  await closed;
}

/** What could not even become a request, such as one without a Host, gets the envelope too. */
const refuse = (error: unknown): Response =>
  errorReply(new HarnessError("INVALID_REQUEST", asHarnessError(error).message, { cause: error }));

function answerBadRequest(error: Error, socket: Socket): void {
  if (errorNumber(error) === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const tooLong = errorNumber(error) === "HPE_HEADER_OVERFLOW";
  const what = tooLong ? "Its headers are too long." : "It is no HTTP request.";
  const body = JSON.stringify(envelopeOf(new HarnessError("INVALID_REQUEST", what)));
  const head = [
    "HTTP/1.1 400 Bad Request",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
