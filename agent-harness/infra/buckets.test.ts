import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { openBuckets } from "./buckets.ts";

let server: Server | undefined;
let asked = 0;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  asked = 0;
});

async function serve(answer: RequestListener): Promise<string> {
  server = createServer((request, response) => {
    asked += 1;
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const open = (url: string) => openBuckets({ url, accessKey: "key", secretKey: "secret-key", region: "us-east-1" });
const noBuckets = "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>";

test("asks once more where the server cut the connection off", async () => {
  const url = await serve((_, response) => {
    if (asked === 1) response.destroy();
    else response.end(noBuckets);
  });
  expect(await open(url).list()).toEqual([]);
  expect(asked).toBe(2);
});

test("a server that always does is unavailable", async () => {
  const url = await serve((_, response) => response.destroy());
  await expect(open(url).list()).rejects.toMatchObject({
    code: "S3_UNAVAILABLE",
    message: expect.stringContaining(url),
  });
  expect(asked).toBe(2);
});
