import { describe, expect, it } from "vitest";
import { checkSignature, type SignedRequest } from "./s3-signature.ts";

/* The examples of Amazon's own documentation of Signature Version 4 for S3, which publishes keys and signatures. */

const keys = { accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
const now = Date.parse("2013-05-24T00:00:00Z");
const credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";

const signedByHeader = (change: Partial<SignedRequest> = {}): SignedRequest => ({
  method: "GET",
  path: "/test.txt",
  query: new URLSearchParams(),
  headers: {
    host: "examplebucket.s3.amazonaws.com",
    range: "bytes=0-9",
    "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "x-amz-date": "20130524T000000Z",
    authorization: `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41`,
  },
  ...change,
});

const signedByUrl = (): SignedRequest => ({
  method: "GET",
  path: "/test.txt",
  query: new URLSearchParams({
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": credential,
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Expires": "86400",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  }),
  headers: { host: "examplebucket.s3.amazonaws.com" },
});

const refuses = (request: SignedRequest, code: string, at = now): void =>
  expect(() => checkSignature(request, keys, at)).toThrow(expect.objectContaining({ code }));

describe("a signature in the headers", () => {
  it("is accepted", () => checkSignature(signedByHeader(), keys, now));

  it("holds for that request only", () => {
    refuses(signedByHeader({ method: "PUT" }), "SignatureDoesNotMatch");
    refuses(signedByHeader({ path: "/other.txt" }), "SignatureDoesNotMatch");
    refuses(signedByHeader({ query: new URLSearchParams("acl=") }), "SignatureDoesNotMatch");
    const { headers } = signedByHeader();
    refuses(signedByHeader({ headers: { ...headers, range: "bytes=0-99" } }), "SignatureDoesNotMatch");
  });

  it("holds for a quarter of an hour", () => {
    refuses(signedByHeader(), "RequestTimeTooSkewed", now + 16 * 60_000);
    refuses(signedByHeader(), "RequestTimeTooSkewed", now - 16 * 60_000);
  });

  it("must be there, whole, by a key that is known", () => {
    const { headers } = signedByHeader();
    const by = (authorization: string) => signedByHeader({ headers: { ...headers, authorization } });
    refuses({ ...signedByHeader(), headers: { host: "x" } }, "AccessDenied");
    refuses(by("Basic eDp5"), "InvalidRequest");
    refuses(by("AWS4-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature="), "AuthorizationHeaderMalformed");
    refuses(
      by(`AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=range,Signature=0`),
      "AuthorizationHeaderMalformed",
    );
    refuses(
      by(`AWS4-HMAC-SHA256 Credential=${credential.replace("AKIA", "")},SignedHeaders=host,Signature=0`),
      "InvalidAccessKeyId",
    );
  });
});

describe("a signed URL", () => {
  it("is accepted until it expires", () => {
    checkSignature(signedByUrl(), keys, now);
    checkSignature(signedByUrl(), keys, now + 86_400_000);
    refuses(signedByUrl(), "AccessDenied", now + 86_401_000);
    refuses(signedByUrl(), "AccessDenied", now - 16 * 60_000);
  });

  it("cannot be given a longer life", () => {
    const request = signedByUrl();
    request.query.set("X-Amz-Expires", "86401");
    refuses(request, "SignatureDoesNotMatch");
    request.query.set("X-Amz-Expires", "999999999");
    refuses(request, "AuthorizationHeaderMalformed");
  });
});
