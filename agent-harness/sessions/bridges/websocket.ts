import { createHash, randomBytes } from "node:crypto";
import { createConnection, type Socket } from "node:net";

/*
 * The client side of a WebSocket on a unix socket (RFC 6455): what `codex app-server` listens with. Node 20 has none of its
 * own, and those of npm are made for far more.
 */

/** An open connection. */
export interface WebSocketClient {
  send(text: string): void;
  close(): void;
}

export interface WebSocketNews {
  /** A whole text message. */
  text(text: string): void;
  /** The connection is over; told once. */
  closed(reason: string): void;
}

const opcodes = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const acceptKey = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Connects to a WebSocket server on a unix socket; fails when nobody listens there or it answers with something else. */
export async function connectWebSocket(path: string, news: WebSocketNews): Promise<WebSocketClient> {
  const socket = createConnection(path);
  const rest = await shakeHands(socket);
  let over = false;
  const end = (reason: string): void => {
    if (over) return;
    over = true;
    socket.destroy();
    news.closed(reason);
  };
  const read = messageReader({
    text: news.text,
    ping: (data) => void socket.write(frame(opcodes.pong, data)),
    close: (data) => {
      socket.write(frame(opcodes.close, data.subarray(0, 2)));
      end(data.length > 2 ? data.subarray(2).toString("utf8") : "closed by the server");
    },
  });
  socket.on("data", read);
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("the connection ended"));
  read(rest);
  return {
    send: (text) => void socket.write(frame(opcodes.text, Buffer.from(text, "utf8"))),
    close: () => void socket.end(frame(opcodes.close, Buffer.alloc(0))),
  };
}

/** Asks for the WebSocket; gives what came behind the answer. */
async function shakeHands(socket: Socket): Promise<Buffer> {
  const key = randomBytes(16).toString("base64");
  const accept = createHash("sha1").update(`${key}${acceptKey}`).digest("base64");
  const lines = ["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"];
  socket.write([...lines, `Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Version: 13", "", ""].join("\r\n"));
  return await new Promise<Buffer>((resolve, reject) => {
    let got = Buffer.alloc(0);
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Error(reason));
    };
    const onError = (error: Error): void => reject(error);
    const onClose = (): void => fail("the connection ended before the WebSocket was open");
    const onData = (chunk: Buffer): void => {
      got = Buffer.concat([got, chunk]);
      const end = got.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", onData).off("error", onError).off("close", onClose);
      const head = got.subarray(0, end).toString("latin1");
      if (!/^HTTP\/1\.1 101 /.test(head) || !head.includes(accept)) fail(`no WebSocket: ${head.split("\r\n")[0]}`);
      else resolve(got.subarray(end + 4));
    };
    socket.on("data", onData).on("error", onError).on("close", onClose);
  });
}

/** A frame as clients send it: whole, and masked. */
export function frame(opcode: number, data: Buffer): Buffer {
  const mask = randomBytes(4);
  const size = data.length;
  const head = size < 126 ? Buffer.alloc(2) : size < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(size, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(size), 2);
  const masked = Buffer.from(data);
  for (let at = 0; at < size; at += 1) masked[at] = (masked[at] ?? 0) ^ (mask[at % 4] ?? 0);
  return Buffer.concat([head, mask, masked]);
}

interface Frame {
  opcode: number;
  last: boolean;
  data: Buffer;
  /** Where the next one begins. */
  end: number;
}

/** One frame at the start of the bytes; undefined while it is not whole. */
function readFrame(bytes: Buffer): Frame | undefined {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  const short = second & 0x7f;
  const headSize = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < headSize) return undefined;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = headSize + size;
  if (bytes.length < end) return undefined;
  return { opcode: first & 0x0f, last: (first & 0x80) !== 0, data: bytes.subarray(headSize, end), end };
}

interface Handlers {
  text(text: string): void;
  ping(data: Buffer): void;
  close(data: Buffer): void;
}

/** Puts messages together from what a server sends, however it is cut. Gives the function that takes the bytes. */
export function messageReader(handlers: Handlers): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let parts: Buffer[] = [];
  let size = 0;
  let wanted = 2;
  const take = ({ opcode, last, data }: Frame): void => {
    if (opcode === opcodes.ping) handlers.ping(data);
    else if (opcode === opcodes.close) handlers.close(data);
    else if (opcode !== opcodes.pong) parts.push(data);
    if (opcode > opcodes.binary || !last) return;
    const whole = Buffer.concat(parts).toString("utf8");
    parts = [];
    handlers.text(whole);
  };
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    // A long message comes in many pieces: they are put together once, not with each piece.
    if (size < wanted) return;
    let bytes = Buffer.concat(chunks);
    for (let next = readFrame(bytes); next !== undefined; next = readFrame(bytes)) {
      bytes = bytes.subarray(next.end);
      take(next);
    }
    chunks = [bytes];
    size = bytes.length;
    wanted = Math.max(2, wantedSize(bytes));
  };
}

/** How many bytes the frame at the start has, as far as its head is there. */
function wantedSize(bytes: Buffer): number {
  const short = (bytes[1] ?? 0) & 0x7f;
  if (bytes.length >= 4 && short === 126) return 4 + bytes.readUInt16BE(2);
  if (bytes.length >= 10 && short === 127) return 10 + Number(bytes.readBigUInt64BE(2));
  return short < 126 ? 2 + short : short === 126 ? 4 : 10;
}
