import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { listenOnLoopback } from "../infra/servers/listen.ts";
import { errorText } from "../shared/errors.ts";
import { answerChat, chatHasToolResult } from "./model-server-chat.ts";
import { answerMessages, messagesHasToolResult } from "./model-server-messages.ts";
import { answerJson, asList, asRecord, type ModelProtocol, type Reply, type Script } from "./model-server-reply.ts";
import { answerResponses, responsesHasToolResult } from "./model-server-responses.ts";

export type { ModelTurn, Reply, Script } from "./model-server-reply.ts";

/** A request as the model server got it. */
export interface ModelRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** The JSON that came with it; undefined without one. */
  body: unknown;
  /** Which model protocol it spoke; absent for anything else (a ping, a list of models, telemetry). */
  protocol?: ModelProtocol;
  /** It brought no tools, so it was no turn of the session: it wanted a title or a summary. */
  side: boolean;
}

/** A scripted model on loopback. */
export interface ModelServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:4711`, without `/v1`. */
  url: string;
  /** Every request so far, in the order in which they came. */
  requests: ModelRequest[];
  /** Those that were turns of a session. */
  turns(): ModelRequest[];
  /** What a script threw. */
  failures: string[];
}

interface Protocol {
  path: RegExp;
  answer(request: IncomingMessage, response: ServerResponse, body: unknown, reply: Reply): unknown;
  hasToolResult(body: unknown): boolean;
}

const protocols: Record<ModelProtocol, Protocol> = {
  messages: { path: /\/messages$/, answer: answerMessages, hasToolResult: messagesHasToolResult },
  responses: { path: /\/responses$/, answer: answerResponses, hasToolResult: responsesHasToolResult },
  chat: { path: /\/chat\/completions$/, answer: answerChat, hasToolResult: chatHasToolResult },
};

/** Opens a model server of its own port that says what the script says, in every protocol that a coding agent speaks. */
export async function openModelServer({ script }: { script: Script }): Promise<ModelServer> {
  const requests: ModelRequest[] = [];
  const failures: string[] = [];
  let count = 0;
  const reply = async (protocol: ModelProtocol, body: unknown, side: boolean) => {
    if (side) return { kind: "text" as const, text: "A side answer" };
    count += 1;
    return await script({ protocol, body, count, hasToolResult: protocols[protocol].hasToolResult(body) });
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const known = await readRequest(request);
    requests.push(known);
    if (known.protocol === undefined) {
      answerOther(response, known.path);
      return;
    }
    const said = await reply(known.protocol, known.body, known.side);
    await protocols[known.protocol].answer(request, response, known.body, said);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      failures.push(errorText(error));
      if (response.headersSent) response.destroy();
      else answerJson(response, 500, { error: { message: errorText(error) } });
    });
  });
  // Without this a client that asks for a WebSocket waits; told so, it goes on with plain requests.
  server.on("upgrade", (_, socket) => {
    socket.end("HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  });
  const { port, stop } = await listenOnLoopback(server, 0);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    failures,
    turns: () => requests.filter((one) => one.protocol !== undefined && !one.side),
    [Symbol.asyncDispose]: stop,
  };
}

async function readRequest(request: IncomingMessage): Promise<ModelRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const path = new URL(request.url ?? "/", "http://loopback").pathname;
  const body = parsed(Buffer.concat(chunks).toString("utf8"));
  const method = request.method ?? "GET";
  const protocol = method === "POST" ? protocolOf(path) : undefined;
  const side = protocol !== undefined && asList(asRecord(body)["tools"]).length === 0;
  return { method, path, headers: request.headers, body, side, ...(protocol === undefined ? {} : { protocol }) };
}

function protocolOf(path: string): ModelProtocol | undefined {
  const names: ModelProtocol[] = ["messages", "responses", "chat"];
  return names.find((name) => protocols[name].path.test(path));
}

/** A ping, a count of tokens, a list of models, telemetry: whatever lets the coding agent go on. */
function answerOther(response: ServerResponse, path: string): void {
  if (path.endsWith("/count_tokens")) answerJson(response, 200, { input_tokens: 12 });
  else if (path.endsWith("/models")) answerJson(response, 200, { object: "list", data: [], models: [] });
  else answerJson(response, 200, {});
}

function parsed(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
