// Subscribers of an event stream, in a process of their own: node subscribers.mjs <{url, headers, count, last}>
// Each reads until the frame of the event named `last`. Prints {"ready"} when all have their first bytes, then what they got.
import { Agent, get } from "node:http";

const { url, headers = {}, count, last } = JSON.parse(process.argv[2]);
const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });
const end = `\nevent: ${last}\n`;
const now = () => performance.timeOrigin + performance.now();

/** One subscriber: resolves `open` at its first bytes and `done` at the last frame. */
function subscribe() {
  let opened;
  const open = new Promise((resolve) => (opened = resolve));
  const done = new Promise((resolve, reject) => {
    const request = get(url, { headers, agent }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`${url}: ${response.statusCode}`));
      let [frames, before, disorder, rest] = [0, 0, 0, ""];
      const take = (frame) => {
        const id = Number(/^id: evt-(\d+)$/m.exec(frame)?.[1] ?? Number.NaN);
        if (Number.isNaN(id)) return;
        if (id <= before) disorder += 1;
        before = id;
        frames += 1;
        if (!frame.includes(end)) return;
        resolve({ frames, disorder, at: now() });
        request.destroy();
      };
      response.setEncoding("utf8").on("data", (data) => {
        opened();
        const texts = (rest + data).split("\n\n");
        rest = texts.pop();
        for (const text of texts) take(text);
      });
      response.once("close", () => reject(new Error("the stream ended early")));
      response.once("error", () => undefined);
    });
    request.once("error", reject);
  });
  return { open, done };
}

const from = now();
const all = Array.from({ length: count }, subscribe);
const tell = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
void Promise.all(all.map(({ open }) => open)).then(() => tell({ ready: true }));
const got = await Promise.all(all.map(({ done }) => done));
const of = (name) => got.map((one) => one[name]);
tell({
  from,
  to: Math.max(...of("at")),
  least: Math.min(...of("frames")),
  most: Math.max(...of("frames")),
  disorder: of("disorder").reduce((sum, one) => sum + one),
});
