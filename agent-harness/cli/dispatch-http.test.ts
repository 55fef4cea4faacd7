import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { openReceiver } from "../testing/receiver.ts";
import { type ApiHttp, openApiHttp } from "./dispatch-http.ts";

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void;

const openHttp = (baseUrl: string, requestLimitMs = 5000): ApiHttp =>
  openApiHttp({ baseUrl, token: () => "t0ken", requestLimitMs });

/** Opens a stream and reads its first part; `rest` resolves with what ends it. */
async function openStream(http: ApiHttp, signal: AbortSignal): Promise<{ rest: Promise<unknown> }> {
  const body = (await http.stream("/events", signal))[Symbol.asyncIterator]();
  await body.next();
  return { rest: body.next().catch((error: unknown) => error) };
}

test("a stream ends when its signal is aborted, also after memory was collected", async () => {
  const closed: Promise<unknown>[] = [];
  await using server = await openReceiver((response) => {
    closed.push(new Promise((resolve) => response.on("close", resolve)));
    response.write(": hello\n\n");
  });
  for (let round = 0; round < 5; round += 1) {
    const ending = new AbortController();
    const { rest } = await openStream(openHttp(server.url), ending.signal);
    collect();
    await delay(0);
    collect();
    ending.abort(new Error("enough"));
    expect(await rest).toEqual(new Error("enough"));
    await closed.at(-1);
  }
});

test("a stream that breaks is told like a server that does not answer", async () => {
  await using server = await openReceiver((response) => {
    response.write(": hello\n\n", () => setImmediate(() => response.destroy()));
  });
  const { rest } = await openStream(openHttp(server.url), new AbortController().signal);
  expect(await rest).toMatchObject({ code: "API_UNREACHABLE", context: { error: "API_UNREACHABLE" } });
});

test("an answer that does not come, or not to its end, is waited for no longer than the limit", async () => {
  await using server = await openReceiver((response, { path }) => {
    if (path === "/half") response.write('{"half":');
  });
  for (const path of ["/never", "/half"]) {
    const error = { code: "API_UNREACHABLE", message: `${server.url} does not answer: no answer in 200 ms.` };
    await expect(openHttp(server.url, 200).json("GET", path)).rejects.toMatchObject(error);
  }
});

test("what the server says instead is told with its own code; of a page, a little of its text", async () => {
  await using server = await openReceiver((response, { path }) => {
    const known = path === "/known";
    response.writeHead(known ? 409 : 502);
    response.end(known ? '{"error":"NEW_CODE","message":"No.","hint":"Do."}' : "<html>Bad Gateway</html>");
  });
  await expect(openHttp(server.url).json("GET", "/known")).rejects.toMatchObject({
    message: "No.",
    hint: "Do.",
    context: { status: 409, error: "NEW_CODE" },
  });
  await expect(openHttp(server.url).json("GET", "/page")).rejects.toMatchObject({
    message: "<html>Bad Gateway</html>",
    context: { status: 502, error: "HTTP_502" },
  });
});

test("the token goes to the server that was named, and no further", async () => {
  await using other = await openReceiver();
  await using server = await openReceiver((response) => response.writeHead(307, { location: other.url }).end());
  await expect(openHttp(server.url).json("GET", "/")).rejects.toMatchObject({ code: "API_UNREACHABLE" });
  expect(server.received[0]?.headers.authorization).toBe("Bearer t0ken");
  expect(other.received).toEqual([]);
});
