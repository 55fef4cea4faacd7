import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Transform, type TransformCallback } from "node:stream";
import { S3Error } from "./s3-errors.ts";

const maxDocumentBytes = 4 * 1024 * 1024;
const maxLineBytes = 16 * 1024;

/**
 * The content of a request as the client meant it: aws-chunked framing taken off (as the AWS clients use it for streams),
 * length and digests compared. Signatures of single chunks are not compared: the request's own was, and nobody sits between on loopback.
 */
export async function* bodyOf(request: IncomingMessage): AsyncGenerator<Buffer> {
  const declared = String(request.headers["x-amz-content-sha256"] ?? "");
  const md5 = createHash("md5");
  const sha256 = /^[0-9a-f]{64}$/i.test(declared) ? createHash("sha256") : undefined;
  const source = declared.startsWith("STREAMING-") ? request.pipe(new Unframe(request)) : request;
  // Kept when a write fails half-way: a request that is destroyed takes the connection with it, and gets no answer.
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    const bytes: Buffer = chunk;
    md5.update(bytes);
    sha256?.update(bytes);
    yield bytes;
  }
  if (!request.complete) throw new S3Error("IncompleteBody", "The client left before the end of the content.");
  if (sha256 !== undefined && sha256.digest("hex") !== declared.toLowerCase()) {
    throw new S3Error("XAmzContentSHA256Mismatch", "The content is not what x-amz-content-sha256 says.");
  }
  const expected = request.headers["content-md5"];
  if (expected !== undefined && md5.digest("base64") !== expected) {
    throw new S3Error("BadDigest", "The content is not what Content-MD5 says.");
  }
}

/** The content of a request that is a small document. */
export async function textOfBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of bodyOf(request)) {
    size += part.length;
    if (size > maxDocumentBytes) throw new S3Error("MalformedXML", "The document is longer than 4 MB.");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** Takes off the aws-chunked framing: `<size in hex>;…` CRLF, the bytes, CRLF, until a chunk of size 0 and its trailers. */
class Unframe extends Transform {
  private readonly expected: number;
  private line = Buffer.alloc(0);
  private left = 0;
  private expecting: "size" | "bytes" | "end of bytes" | "trailers" = "size";
  private seen = 0;

  constructor(request: IncomingMessage) {
    super();
    this.expected = Number(request.headers["x-amz-decoded-content-length"] ?? Number.NaN);
    // pipe() does not pass on that the client went away.
    request.once("aborted", () => this.destroy(incomplete()));
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let rest = chunk;
      while (rest.length > 0) rest = this.expecting === "bytes" ? this.takeBytes(rest) : this.takeLine(rest);
      done();
    } catch (error) {
      done(error instanceof Error ? error : incomplete());
    }
  }

  private takeBytes(chunk: Buffer): Buffer {
    const bytes = chunk.subarray(0, this.left);
    this.push(bytes);
    this.left -= bytes.length;
    this.seen += bytes.length;
    if (this.left === 0) this.expecting = "end of bytes";
    return chunk.subarray(bytes.length);
  }

  private takeLine(chunk: Buffer): Buffer {
    const end = chunk.indexOf(0x0a);
    this.line = Buffer.concat([this.line, end < 0 ? chunk : chunk.subarray(0, end + 1)]);
    if (this.line.length > maxLineBytes) throw incomplete();
    if (end < 0) return Buffer.alloc(0);
    const line = this.line.toString("latin1").trimEnd();
    this.line = Buffer.alloc(0);
    this.readLine(line);
    return chunk.subarray(end + 1);
  }

  private readLine(line: string): void {
    if (this.expecting === "trailers") return;
    if (this.expecting === "end of bytes") {
      if (line !== "") throw incomplete();
      this.expecting = "size";
      return;
    }
    const size = /^([0-9a-f]{1,8})(;|$)/i.exec(line)?.[1];
    if (size === undefined) throw incomplete();
    this.left = Number.parseInt(size, 16);
    this.expecting = this.left === 0 ? "trailers" : "bytes";
  }

  override _flush(done: TransformCallback): void {
    const whole = this.expecting === "trailers" && (Number.isNaN(this.expected) || this.expected === this.seen);
    done(whole ? null : incomplete());
  }
}

const incomplete = (): S3Error => new S3Error("IncompleteBody", "The content ended before its announced length.");
