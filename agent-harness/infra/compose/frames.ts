/** Which of a program's two streams a piece of output came on. */
export type OutputStream = "stdout" | "stderr";

/**
 * Takes Docker's frames apart as they come, wherever they were cut: 8 bytes (stream, three zeros, length), then so many
 * bytes of output, which are given on as they are.
 */
export function openFrames(onOutput: (stream: OutputStream, data: Buffer) => void): (chunk: Buffer) => void {
  let head = Buffer.alloc(0);
  let left = 0;
  let stream: OutputStream = "stdout";
  return (chunk) => {
    let rest = chunk;
    while (rest.length > 0) {
      if (left > 0) {
        const data = rest.subarray(0, left);
        left -= data.length;
        rest = rest.subarray(data.length);
        onOutput(stream, data);
        continue;
      }
      const missing = 8 - head.length;
      head = Buffer.concat([head, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (head.length < 8) continue;
      stream = head[0] === 2 ? "stderr" : "stdout";
      left = head.readUInt32BE(4);
      head = Buffer.alloc(0);
    }
  };
}
