import { createServer, request } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunningServer } from "./entry.ts";
import { listenOnLoopback } from "./listen.ts";
import { textOfBody } from "./s3-body.ts";

let server: RunningServer;

beforeAll(async () => {
  const echo = createServer(async (incoming, response) => {
    const answer = await textOfBody(incoming).catch((error: { code?: string }) => `error ${error.code}`);
    response.end(answer);
  });
  server = await listenOnLoopback(echo, 0);
});
afterAll(async () => await server.stop());

/** Sends these pieces, each as a chunk of its own, and returns what was understood. */
function send(pieces: string[], headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: server.port, host: "127.0.0.1", method: "PUT", headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk))).once("end", () => resolve(text));
    });
    sent.once("error", reject);
    for (const piece of pieces) sent.write(piece);
    sent.end();
  });
}

const framed = (length: number) => ({
  "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
  "x-amz-decoded-content-length": String(length),
});

it("takes off the framing of the AWS clients, however it was cut up", async () => {
  const whole = "5\r\nhello\r\n6;chunk-signature=00\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
  expect(await send([whole], framed(11))).toBe("hello world");
  expect(await send([...whole], framed(11))).toBe("hello world");
});

it("refuses content that is not what it was announced to be", async () => {
  expect(await send(["5\r\nhel"], framed(5))).toBe("error IncompleteBody");
  expect(await send(["5\r\nhello\r\n0\r\n\r\n"], framed(6))).toBe("error IncompleteBody");
  expect(await send(["zz\r\n"], framed(5))).toBe("error IncompleteBody");
  expect(await send(["x"], { "x-amz-content-sha256": "0".repeat(64) })).toBe("error XAmzContentSHA256Mismatch");
  expect(await send(["x"], { "content-md5": "AAAA" })).toBe("error BadDigest");
});
