import { expect, test } from "vitest";
import { openFrames } from "./frames.ts";

function frame(stream: 1 | 2, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([head, data]);
}

const bytes = Buffer.from([0, 1, 2, 255, 10, 13, 0, 0, 0, 9]);
const raw = Buffer.concat([
  frame(1, bytes),
  frame(2, Buffer.from("wrong\n")),
  frame(1, Buffer.alloc(0)),
  frame(1, bytes),
]);

test.each([1, 2, 3, 7, 8, 9, 13, raw.length])("cut every %i bytes, the streams come out apart and whole", (size) => {
  const got = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const take = openFrames((stream, data) => got[stream].push(Buffer.from(data)));
  for (let at = 0; at < raw.length; at += size) take(raw.subarray(at, at + size));
  expect(Buffer.concat(got.stdout)).toEqual(Buffer.concat([bytes, bytes]));
  expect(Buffer.concat(got.stderr).toString()).toBe("wrong\n");
});
