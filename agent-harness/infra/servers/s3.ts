import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { errorNumber, errorText } from "../../shared/errors.ts";
import { numberSetting, type RunningServer, requireSetting, runWhenEntry } from "./entry.ts";
import { listenOnLoopback } from "./listen.ts";
import { answerBucket, listBuckets } from "./s3-bucket-requests.ts";
import { S3Error } from "./s3-errors.ts";
import { type Exchange, readExchange, sendXml } from "./s3-exchange.ts";
import { answerObject } from "./s3-object-requests.ts";
import { checkSignature, type KeyPair } from "./s3-signature.ts";
import { Store } from "./s3-store.ts";

/** MinIO's own address for this, so that one health check fits both. */
const healthPath = "/minio/health/live";

export interface S3Options extends KeyPair {
  port: number;
  /** Folder of the buckets; kept over restarts. */
  data: string;
}

/**
 * An S3 server for development on 127.0.0.1, on real files (ADR 0004): path-style buckets and objects, multipart, copies,
 * ranges, presigned URLs. Every request must be signed with the one key pair.
 */
export async function startS3({ port, data, ...keys }: S3Options): Promise<RunningServer> {
  const store = await Store.open(data);
  // Uploads may take as long as they need.
  const server = createServer(
    { requestTimeout: 0 },
    (request, response) => void answer(store, keys, request, response),
  );
  return await listenOnLoopback(server, port);
}

async function answer(store: Store, keys: KeyPair, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("server", "agent-harness-s3");
  allowPages(request, response);
  let exchange: Exchange | undefined;
  try {
    if (request.method === "OPTIONS") {
      response.writeHead(204).end();
      return;
    }
    exchange = readExchange(store, request, response);
    if (request.method === "GET" && exchange.path === healthPath) {
      response.writeHead(200, { "content-length": "0" }).end();
      return;
    }
    checkSignature(
      { method: request.method ?? "", path: exchange.path, query: exchange.query, headers: request.headers },
      keys,
    );
    await dispatch(exchange);
  } catch (error) {
    sendError(
      exchange ?? { store, request, response, path: "/", query: new URLSearchParams(), bucket: "", key: "" },
      error,
    );
  }
}

async function dispatch(exchange: Exchange): Promise<void> {
  if (exchange.key !== "") return await answerObject(exchange);
  if (exchange.bucket !== "") return await answerBucket(exchange);
  if (exchange.request.method === "GET") return await listBuckets(exchange);
  throw new S3Error("MethodNotAllowed", "Only GET is for the list of buckets.");
}

/** Pages of the application under work upload by presigned URL; the signature decides, not the page's address. */
function allowPages(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.origin === undefined) return;
  response.setHeader("access-control-allow-origin", request.headers.origin);
  response.setHeader("access-control-allow-methods", "GET, HEAD, PUT, POST, DELETE");
  response.setHeader("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "*");
  response.setHeader("access-control-expose-headers", "ETag, Content-Range, Content-Length");
  response.setHeader("vary", "Origin");
}

function sendError(exchange: Exchange, error: unknown): void {
  const { request, response } = exchange;
  if (request.destroyed && !request.complete) return;
  const known = toS3Error(error);
  if (!(error instanceof S3Error) && errorNumber(error) !== "ERR_STREAM_PREMATURE_CLOSE") {
    process.stderr.write(`s3: ${request.method} ${exchange.path}: ${errorText(error)}\n`);
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  // Read to its end: most clients look for an answer only when they have sent everything.
  if (!request.complete) request.resume();
  const content = {
    Code: known.code,
    Message: known.message,
    BucketName: exchange.bucket,
    Key: exchange.key,
    Resource: exchange.path,
  };
  sendXml(exchange, "Error", content, known.status);
}

function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (errorNumber(error) === "ENOSPC") return new S3Error("XMinioStorageFull", "The disk is full.");
  return new S3Error("InternalError", errorText(error));
}

await runWhenEntry(import.meta.url, "s3", () =>
  startS3({
    port: numberSetting("S3_PORT"),
    data: requireSetting("S3_DATA"),
    accessKey: requireSetting("S3_ACCESS_KEY"),
    secretKey: requireSetting("S3_SECRET_KEY"),
  }),
);
