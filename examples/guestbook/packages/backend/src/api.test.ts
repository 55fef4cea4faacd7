import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { errorSchema } from "common";
import { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createApi } from "./api.ts";
import type { AppEnv } from "./env.ts";

// Nobody listens on port 1: this is the API while its database is down.
const pool = new Pool({ host: "127.0.0.1", port: 1, connectionTimeoutMillis: 1000 });
const bucket = { put: vi.fn(), find: async () => Readable.from(["%PDF-"]) };
const env = { APP_SECRET: "agent-1-secret" } as AppEnv;

let server: Server;
let url: string;

beforeAll(async () => {
  vi.spyOn(console, "error").mockReturnValue();
  server = createApi({ env, pool, bucket }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
});

afterAll(async () => {
  server.close();
  await pool.end();
});

const post = (body: FormData) => fetch(`${url}/entries`, { method: "POST", body });

function form(picture: Blob): FormData {
  const data = new FormData();
  data.set("name", "Ada");
  data.set("message", "Hello");
  data.set("picture", picture, "picture.png");
  return data;
}

describe("the API", () => {
  it("is not well while the database does not answer", async () => {
    const response = await fetch(`${url}/health`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ status: "unavailable" });
  });

  it("says which fields are wrong", async () => {
    const response = await fetch(`${url}/entries`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "" }),
    });
    expect(response.status).toBe(400);
    const { issues } = errorSchema.parse(await response.json());
    expect(Object.keys(issues ?? {})).toEqual(["name", "message"]);
  });

  it("refuses a body that is not JSON, or none", async () => {
    const headers = { "content-type": "application/json" };
    expect((await fetch(`${url}/entries`, { method: "POST", headers, body: "{" })).status).toBe(400);
    expect((await fetch(`${url}/entries`, { method: "POST" })).status).toBe(400);
  });

  it("refuses a page that claims to be a picture", async () => {
    const response = await post(form(new Blob(["<script>alert(1)</script>"], { type: "image/png" })));
    expect(response.status).toBe(415);
    expect(bucket.put).not.toHaveBeenCalled();
  });

  it("refuses a picture over 2 MB", async () => {
    expect((await post(form(new Blob([new Uint8Array(2 * 1024 * 1024 + 1)])))).status).toBe(413);
  });

  it("tells nothing of an error on its own side", async () => {
    const response = await fetch(`${url}/entries`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: "Something went wrong on our side." });
  });

  it("sends files with their type fixed", async () => {
    const response = await fetch(`${url}/guestbook.pdf`);
    expect(response.headers.get("content-type")).toBe("application/pdf");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await response.text()).toBe("%PDF-");
  });

  it("does not know other paths", async () => {
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/entries/1e3/picture`)).status).toBe(404);
  });
});
