import { createServer, request as send } from "node:http";
import { listenOnLoopback } from "../infra/servers/listen.ts";

/** Passes requests on to a server of loopback, but for those that it holds back for good. */
export interface HoldingProxy extends AsyncDisposable {
  port: number;
  /** `POST /path key` of each request that is held back. */
  held: string[];
  /** From now on everything is passed on. */
  release(): void;
}

/** Opens it; what is held back is told by method, path and Idempotency-Key, such as `POST /api/v1/projects the-key`. */
export async function openHoldingProxy(toPort: number, hold: RegExp): Promise<HoldingProxy> {
  const held: string[] = [];
  let holding = true;
  const server = createServer((asked, answer) => {
    const { method, url: path, headers } = asked;
    const what = `${method} ${path} ${headers["idempotency-key"] ?? ""}`;
    if (holding && hold.test(what)) return void held.push(what);
    const passed = send({ host: "127.0.0.1", port: toPort, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.on("error", () => answer.destroy()).pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  const { port, stop } = await listenOnLoopback(server, 0);
  const release = (): void => {
    holding = false;
  };
  return { port, held, release, [Symbol.asyncDispose]: stop };
}
