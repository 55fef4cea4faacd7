// Stands in for `codex app-server --listen unix://PATH`, for tests of the bridge: a WebSocket that answers in its words.
//
//   {"method":"initialize","id":1}      { id, result: {} }
//   {"method":"thread/start","id":2}    a thread whose log is $FAKE_LOG
//   {"method":"drop"}                   cuts the connection off
//   {"method":"exit","params":{"code":3}}
//   anything else comes back as { method: "heard", params }
import { createHash } from "node:crypto";
import { symlinkSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const path = process.argv[process.argv.indexOf("--listen") + 1].replace("unix://", "");
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const server = createServer();
server.on("upgrade", (request, socket) => {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${magic}`).digest("base64");
  const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  socket.write([...head, `Sec-WebSocket-Accept: ${accept}`, "", ""].join("\r\n"));
  const send = (message) => {
    // Over two lines, as nothing forbids it.
    const text = Buffer.from(JSON.stringify(message, null, 1));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(text.length);
    socket.write(Buffer.concat([Buffer.from([0x81, 126]), length, text]));
  };
  let bytes = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (let frame = take(); frame; frame = take()) {
      if (frame.opcode === 1) answer(JSON.parse(frame.text), send, socket);
    }
  });
  socket.on("error", () => socket.destroy());

  function take() {
    const short = (bytes[1] ?? 0) & 0x7f;
    const from = short === 126 ? 4 : 2;
    if (bytes.length < from) return undefined;
    const size = short === 126 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < from + 4 + size) return undefined;
    const mask = bytes.subarray(from, from + 4);
    const data = bytes.subarray(from + 4, from + 4 + size).map((byte, at) => byte ^ mask[at % 4]);
    const opcode = bytes[0] & 0x0f;
    bytes = bytes.subarray(from + 4 + size);
    return { opcode, text: Buffer.from(data).toString() };
  }
});

function answer({ method, id, params }, send, socket) {
  if (method === "initialize") send({ id, result: {} });
  else if (method === "thread/start") send({ id, result: { thread: { path: process.env.FAKE_LOG, id: "thread-1" } } });
  else if (method === "drop") socket.destroy();
  else if (method === "exit") process.exit(params.code);
  else send({ method: "heard", params: { method, env: process.env.FAKE_LOG } });
}

// As codex does it: the path may be longer than a socket's.
const target = join(tmpdir(), `fake-codex-${process.pid}`);
server.listen(target, () => symlinkSync(target, path));
