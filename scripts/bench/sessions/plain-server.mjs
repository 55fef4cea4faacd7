// The baseline of the streams: bare Node that writes the same frames to so many connections, with nothing behind it.
// node plain-server.mjs <{frames, count, last}>   Prints {"port"}; begins when all have come, and prints {"from"}.
import { createServer } from "node:http";

const { frames, count, last } = JSON.parse(process.argv[2]);
const chunkLength = 64 * 1024;
const text = "x".repeat(120);
const data = (at) =>
  JSON.stringify({
    id: `evt-${at}`,
    ts: new Date().toISOString(),
    project: "live",
    agentId: "one",
    type: "output",
    text,
  });

const chunks = [""];
for (let at = 1; at <= frames; at += 1) {
  const frame = `id: evt-${at}\nevent: ${at === frames ? last : "output"}\ndata: ${data(at)}\n\n`;
  if (chunks.at(-1).length > chunkLength) chunks.push("");
  chunks.push(chunks.pop() + frame);
}

async function write(response) {
  for (const chunk of chunks) {
    if (!response.write(chunk)) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
  }
}

const tell = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const open = [];
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).write(": here\n\n");
  open.push(response);
  if (open.length < count) return;
  tell({ from: performance.timeOrigin + performance.now() });
  void Promise.all(open.map(write));
  for (const one of open) one.once("close", leave);
});

let left = count;
function leave() {
  left -= 1;
  if (left === 0) process.exit();
}

server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
