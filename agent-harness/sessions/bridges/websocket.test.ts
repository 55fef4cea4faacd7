import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../testing/until.ts";
import { connectWebSocket, frame, messageReader } from "./websocket.ts";

/** A server's frame: like a client's, but not masked. */
function serverFrame(opcode: number, data: Buffer, last = true): Buffer {
  const size = data.length;
  const head = size < 126 ? Buffer.from([0, size]) : size < 65_536 ? Buffer.from([0, 126, 0, 0]) : Buffer.alloc(10);
  head[0] = (last ? 0x80 : 0) | opcode;
  if (head.length === 4) head.writeUInt16BE(size, 2);
  if (head.length === 10) {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  return Buffer.concat([head, data]);
}

function read(chunks: readonly Buffer[]): { texts: string[]; pings: string[]; closes: number } {
  const got = { texts: [] as string[], pings: [] as string[], closes: 0 };
  const take = messageReader({
    text: (text) => got.texts.push(text),
    ping: (data) => got.pings.push(data.toString()),
    close: () => {
      got.closes += 1;
    },
  });
  for (const chunk of chunks) take(chunk);
  return got;
}

const texts = ["", "short", "ü".repeat(63), "x".repeat(126), "y".repeat(65_535), "z".repeat(65_536), "after"];
const stream = Buffer.concat(texts.map((text) => serverFrame(1, Buffer.from(text))));

test.each([1, 7, 4096, stream.length])("reads messages of all sizes, in pieces of %i bytes", (size) => {
  const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, at) =>
    stream.subarray(at * size, (at + 1) * size),
  );
  expect(read(pieces).texts).toEqual(texts);
});

test("puts a message together that comes in frames, with a ping between them", () => {
  const letter = Buffer.from("ü");
  const parts = [
    serverFrame(1, letter.subarray(0, 1), false),
    serverFrame(9, Buffer.from("?")),
    serverFrame(0, letter.subarray(1), false),
    serverFrame(0, Buffer.from("!")),
    serverFrame(10, Buffer.alloc(0)),
    serverFrame(8, Buffer.alloc(0)),
  ];
  expect(read(parts)).toEqual({ texts: ["ü!"], pings: ["?"], closes: 1 });
});

/** Reads a client's frame: whole, masked. */
function unmask(bytes: Buffer): string {
  const size = (bytes[1] ?? 0) & 0x7f;
  expect((bytes[1] ?? 0) & 0x80).toBe(0x80);
  const from = size === 126 ? 4 : 2;
  const mask = bytes.subarray(from, from + 4);
  return Buffer.from(bytes.subarray(from + 4).map((byte, at) => byte ^ (mask[at % 4] ?? 0))).toString("utf8");
}

test("masks what it sends", () => {
  expect(unmask(frame(1, Buffer.from("hello")))).toBe("hello");
  expect(unmask(frame(1, Buffer.from("h".repeat(300))))).toBe("h".repeat(300));
  expect(frame(1, Buffer.from("h".repeat(300))).readUInt16BE(2)).toBe(300);
  expect(frame(1, Buffer.alloc(70_000)).readBigUInt64BE(2)).toBe(70_000n);
});

async function openServer(answer: (socket: Socket, key: string) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ws-"));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("data", (head: Buffer) => {
      answer(socket, /Sec-WebSocket-Key: (\S+)/.exec(head.toString())?.[1] ?? "");
    });
  });
  const path = join(folder, "s");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
  return path;
}

const accept = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const upgraded = (key: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept(key)}\r\n\r\n`;

test("talks to a server, also when its first message comes with the handshake, and tells the end once", async () => {
  const heard: Buffer[] = [];
  const path = await openServer((socket, key) => {
    socket.write(Buffer.concat([Buffer.from(upgraded(key)), serverFrame(1, Buffer.from("first"))]));
    socket.on("data", (data: Buffer) => heard.push(data));
    socket.once("data", () => {
      socket.write(serverFrame(8, Buffer.from([3, 232, ...Buffer.from("enough")])));
    });
  });
  const told: string[] = [];
  const closed: string[] = [];
  const client = await connectWebSocket(path, { text: (text) => told.push(text), closed: (why) => closed.push(why) });
  client.send("hello");
  await until("the end", () => closed.length > 0);
  expect(told).toEqual(["first"]);
  expect(unmask(heard[0] ?? Buffer.alloc(0))).toBe("hello");
  expect(closed).toEqual(["enough"]);
});

test.each([
  ["refuses", "HTTP/1.1 403 Forbidden\r\n\r\n", "no WebSocket: HTTP/1.1 403 Forbidden"],
  ["is no WebSocket server", upgraded("another key"), "no WebSocket"],
  ["hangs up", undefined, "the connection ended before"],
])("fails when the server %s", async (_, head, message) => {
  const path = await openServer((socket) => (head === undefined ? socket.destroy() : socket.write(head)));
  const news = { text: () => undefined, closed: () => undefined };
  await expect(connectWebSocket(path, news)).rejects.toThrow(message);
  await expect(connectWebSocket(`${path}-not`, news)).rejects.toThrow("ENOENT");
});
