import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "minio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bucketsContract } from "../../testing/buckets-contract.ts";
import { openBuckets, type S3Connection } from "../buckets.ts";
import type { RunningServer } from "./entry.ts";
import { startS3 } from "./s3.ts";

const keys = { accessKey: "test-access", secretKey: "test-secret-key" };
let folder: string;
let server: RunningServer;

const start = (port = 0): Promise<RunningServer> => startS3({ port, data: join(folder, "data"), ...keys });
const connection = (): S3Connection => ({ url: `http://127.0.0.1:${server.port}`, region: "us-east-1", ...keys });
const client = (): Client =>
  new Client({ endPoint: "127.0.0.1", port: server.port, useSSL: false, region: "us-east-1", ...keys });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-s3-"));
  server = await start();
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

bucketsContract(connection, { versions: false, hidesBelowObjects: false });

/** Sends a request with exactly this path: fetch would tidy it up. */
function send(method: string, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: server.port, host: "127.0.0.1", method, path, headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    sent.once("error", reject).end();
  });
}

describe("the S3 server", () => {
  it("says that it lives without a key, and nothing else", async () => {
    expect(await send("GET", "/minio/health/live")).toBe(200);
    for (const path of ["/", "/default", "/default/key", "/default?list-type=2"]) {
      expect(await send("GET", path), path).toBe(403);
      expect(await send("PUT", path), path).toBe(403);
    }
  });

  it("survives requests that make no sense", async () => {
    const authorization = "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00";
    for (const path of [
      "/%",
      "/%00/x",
      "/a/%ff%fe",
      "//",
      "/?X-Amz-Algorithm=AWS4-HMAC-SHA256",
      "/a?X-Amz-Algorithm=x",
    ]) {
      expect(await send("GET", path), path).toBeGreaterThanOrEqual(400);
      expect(await send("PUT", path, { authorization }), path).toBeGreaterThanOrEqual(400);
    }
    expect(await send("GET", "/minio/health/live")).toBe(200);
  });

  it("keeps keys that look like paths inside the bucket", async () => {
    const buckets = openBuckets(connection());
    await buckets.ensure("paths", { machine: "t" });
    const s3 = client();
    const escaping = [
      "../escaped",
      "../../escaped",
      "a/../../../escaped",
      "..",
      "/etc/passwd",
      "a//b",
      "./a",
      "..%2fescaped",
    ];
    for (const key of escaping) await s3.putObject("paths", key, key);
    for (const key of escaping) expect((await s3.statObject("paths", key)).size, key).toBe(Buffer.byteLength(key));
    expect(await readdir(folder)).toEqual(["data"]);
    expect(await readdir(join(folder, "data"))).toEqual(["paths"]);
    // An upload's id becomes a folder; one that is no id must not.
    const url = await s3.presignedUrl("DELETE", "paths", "x", 60, { uploadId: "../../keys" });
    expect((await fetch(url, { method: "DELETE" })).status).toBe(404);
    expect(existsSync(join(folder, "data", "paths", "keys"))).toBe(true);
    await buckets.remove("paths");
    expect(await readdir(join(folder, "data"))).toEqual([]);
  });

  it("refuses bucket names that are none", async () => {
    for (const name of ["..", "%2e%2e", "UPPER", "a", ".removed-1"]) {
      const url = await client().presignedUrl("PUT", "valid-name", "", 60);
      expect(await send("PUT", url.replace(/^http:\/\/[^/]+\/valid-name/, `/${name}`)), name).toBeGreaterThanOrEqual(
        400,
      );
    }
    await expect(client().makeBucket("192.168.0.1")).rejects.toThrow();
    expect(await readdir(join(folder, "data"))).toEqual([]);
  });
});

describe("the folder of the S3 server", () => {
  it("is kept over a restart, and clears what a killed write left", async () => {
    const buckets = openBuckets(connection());
    await buckets.ensure("kept", { machine: "t" });
    await client().putObject("kept", "ünï code", "still here", 10, { "Content-Type": "text/plain" });
    const { port } = server;
    await server.stop();
    await writeFile(join(folder, "data", "kept", "data", "half-written"), "x");
    await writeFile(join(folder, "data", "kept", "keys", "half.json"), '{"key":');
    server = await start(port);
    expect((await client().statObject("kept", "ünï code")).metaData).toMatchObject({ "content-type": "text/plain" });
    expect(await readdir(join(folder, "data", "kept", "data"))).toHaveLength(2);
    expect(await readdir(join(folder, "data", "kept", "keys"))).toHaveLength(2);
    await buckets.remove("kept");
  });

  it("does not show an upload that broke off", async () => {
    await openBuckets(connection()).ensure("broken", { machine: "t" });
    const s3 = client();
    await s3.putObject("broken", "file", "whole");
    const url = new URL(await s3.presignedPutObject("broken", "file", 60));
    await new Promise<void>((resolve) => {
      const sent = request(url, { method: "PUT", headers: { "content-length": "1000" } });
      sent.once("error", () => resolve());
      sent.write("half of it", () => sent.destroy(new Error("gone")));
    });
    expect((await s3.statObject("broken", "file")).size).toBe(5);
    await openBuckets(connection()).remove("broken");
  });

  it("says which port is taken and which folder cannot be used", async () => {
    await expect(start(server.port)).rejects.toMatchObject({ code: "PORT_TAKEN", context: { port: server.port } });
    await writeFile(join(folder, "file"), "");
    await expect(startS3({ port: 0, data: join(folder, "file"), ...keys })).rejects.toMatchObject({
      code: "HOME_UNUSABLE",
    });
    await rm(join(folder, "file"));
  });
});
