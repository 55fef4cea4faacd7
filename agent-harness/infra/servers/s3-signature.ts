import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { S3Error } from "./s3-errors.ts";

/*
 * AWS Signature Version 4, the checking side: from the request as it came, the signature is worked out again with our secret key.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */

/** The one key pair that the server knows. */
export interface KeyPair {
  accessKey: string;
  secretKey: string;
}

/** What is signed of a request. */
export interface SignedRequest {
  method: string;
  /** The path, decoded. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
}

interface Claim {
  accessKey: string;
  scope: [date: string, region: string, service: string, end: string];
  signedHeaders: string[];
  signature: string;
  time: string;
  payloadHash: string;
}

const algorithm = "AWS4-HMAC-SHA256";
const allowedSkewMs = 15 * 60_000;
const maxExpirySeconds = 7 * 24 * 3600;

/** Throws unless the request is signed with our key, in its headers or (presigned) in its query, and is of now. */
export function checkSignature(request: SignedRequest, keys: KeyPair, now: number = Date.now()): void {
  const claim = request.query.has("X-Amz-Algorithm") ? claimOfQuery(request, now) : claimOfHeaders(request, now);
  if (claim.accessKey !== keys.accessKey) {
    throw new S3Error("InvalidAccessKeyId", "The access key is not known here.");
  }
  const expected = Buffer.from(signatureOf(request, claim, keys.secretKey));
  const given = Buffer.from(claim.signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) {
    throw new S3Error("SignatureDoesNotMatch", "The signature does not match; check the secret key.");
  }
}

function claimOfHeaders(request: SignedRequest, now: number): Claim {
  const header = request.headers.authorization;
  if (header === undefined) throw new S3Error("AccessDenied", "The request is not signed.");
  if (!header.startsWith(`${algorithm} `)) throw new S3Error("InvalidRequest", `Sign the request with ${algorithm}.`);
  const fields = new Map(
    header
      .slice(algorithm.length)
      .split(",")
      .map((field) => {
        const [name, ...value] = field.trim().split("=");
        return [name, value.join("=")] as const;
      }),
  );
  const time = textOf(request.headers["x-amz-date"]) ?? compactDate(request.headers.date);
  if (Math.abs(parseTime(time) - now) > allowedSkewMs) {
    throw new S3Error(
      "RequestTimeTooSkewed",
      "The time of the request is more than 15 minutes away from the server's.",
    );
  }
  const signedHeaders = (fields.get("SignedHeaders") ?? "").split(";");
  if (!signedHeaders.includes("host")) throw malformed("the host header is not signed");
  const payloadHash = textOf(request.headers["x-amz-content-sha256"]);
  if (payloadHash === undefined) throw new S3Error("InvalidRequest", "The header x-amz-content-sha256 is missing.");
  return {
    ...scopeOf(fields.get("Credential")),
    signedHeaders,
    signature: fields.get("Signature") ?? "",
    time,
    payloadHash,
  };
}

function claimOfQuery(request: SignedRequest, now: number): Claim {
  const { query } = request;
  if (query.get("X-Amz-Algorithm") !== algorithm)
    throw new S3Error("InvalidRequest", `Sign the URL with ${algorithm}.`);
  const time = query.get("X-Amz-Date") ?? "";
  const expires = Number(query.get("X-Amz-Expires") ?? Number.NaN);
  if (!(expires >= 0 && expires <= maxExpirySeconds)) throw malformed("X-Amz-Expires is not 0 to 604800");
  const start = parseTime(time);
  if (start - now > allowedSkewMs) throw new S3Error("AccessDenied", "The signed URL is not valid yet.");
  if (start + expires * 1000 < now) throw new S3Error("AccessDenied", "The signed URL has expired.");
  const signedHeaders = (query.get("X-Amz-SignedHeaders") ?? "").split(";");
  if (!signedHeaders.includes("host")) throw malformed("the host header is not signed");
  return {
    ...scopeOf(query.get("X-Amz-Credential")),
    signedHeaders,
    signature: query.get("X-Amz-Signature") ?? "",
    time,
    payloadHash:
      query.get("X-Amz-Content-Sha256") ?? textOf(request.headers["x-amz-content-sha256"]) ?? "UNSIGNED-PAYLOAD",
  };
}

function scopeOf(credential: string | null | undefined): Pick<Claim, "accessKey" | "scope"> {
  const parts = (credential ?? "").split("/");
  const [date, region, service, end] = parts.slice(-4);
  if (parts.length < 5 || !date || !region || service !== "s3" || end !== "aws4_request") {
    throw malformed("the credential is not <key>/<date>/<region>/s3/aws4_request");
  }
  return { accessKey: parts.slice(0, -4).join("/"), scope: [date, region, service, end] };
}

function signatureOf(request: SignedRequest, claim: Claim, secretKey: string): string {
  const canonical = [
    request.method,
    request.path.split("/").map(encode).join("/"),
    canonicalQuery(request.query),
    ...claim.signedHeaders.map((name) => `${name}:${canonicalHeader(request.headers[name])}`),
    "",
    claim.signedHeaders.join(";"),
    claim.payloadHash,
  ].join("\n");
  const toSign = [algorithm, claim.time, claim.scope.join("/"), createHash("sha256").update(canonical).digest("hex")];
  const key = claim.scope.reduce<Buffer | string>((sofar, part) => hmac(sofar, part), `AWS4${secretKey}`);
  return hmac(key, toSign.join("\n")).toString("hex");
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text).digest();

function canonicalQuery(query: URLSearchParams): string {
  const pairs = [...query].filter(([name]) => name !== "X-Amz-Signature");
  return pairs
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}

const canonicalHeader = (value: string | string[] | undefined): string =>
  (textOf(value) ?? "").trim().replaceAll(/\s+/g, " ");

/** RFC 3986: everything but letters, digits and -._~ is escaped. */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

const textOf = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(",") : value;

const malformed = (what: string): S3Error => new S3Error("AuthorizationHeaderMalformed", `Authorization: ${what}.`);

function parseTime(time: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  if (year === undefined) throw new S3Error("AccessDenied", "The request has no date (x-amz-date).");
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function compactDate(date: string | undefined): string {
  const time = Date.parse(date ?? "");
  return Number.isNaN(time) ? "" : new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, "");
}
