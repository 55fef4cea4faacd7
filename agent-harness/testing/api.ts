import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Api, type ApiOptions, openApi } from "../api/index.ts";
import { openWebhooks } from "../sessions/index.ts";
import { type EventLogDouble, eventLogDouble } from "./event-log-double.ts";
import { type SessionsDouble, sessionsDouble } from "./sessions-double.ts";
import { type QueueDouble, queueDouble } from "./webhook-queue-double.ts";

/** What a request came to. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: unknown;
}

/** The real API over HTTP on loopback, with sessions and events in memory. */
export interface TestApi {
  api: Api;
  /** With the prefix. */
  url: string;
  sessions: SessionsDouble;
  events: EventLogDouble;
  queue: QueueDouble;
  reported: unknown[];
  /** Asks with the token; what is given as `json` is the body. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
}

export interface AskOptions {
  json?: unknown;
  body?: string;
  headers?: Record<string, string>;
}

export const testToken = "test-token";

/** An API that is stopped when the test ends. */
export async function openTestApi(
  options: Partial<ApiOptions> & { env?: Record<string, string> } = {},
): Promise<TestApi> {
  const home = await mkdtemp(join(tmpdir(), "ah-api-"));
  // Also of an API that does not come up. What is registered last is done first.
  onTestFinished(async () => await rm(home, { recursive: true }));
  const { env = {}, ...given } = options;
  const events = eventLogDouble();
  const sessions = sessionsDouble(events);
  const queue = queueDouble();
  const reported: unknown[] = [];
  const paths = { webhookSecret: join(home, "secret") };
  const webhooks = await openWebhooks({ queue, paths, env, version: "1.2.3", pollMs: 5 });
  onTestFinished(() => webhooks[Symbol.asyncDispose]());
  const api = await openApi({
    sessions,
    events,
    webhooks,
    token: testToken,
    version: "1.2.3",
    tmuxAvailable: async () => true,
    report: (error) => reported.push(error),
    host: "127.0.0.1",
    port: 0,
    ...given,
  });
  onTestFinished(() => api.stop());
  const url = `${api.url}/api/v1`;
  return {
    api,
    url,
    sessions,
    events,
    queue,
    reported,
    ask: async (method, path, { json, body = json === undefined ? undefined : JSON.stringify(json), headers } = {}) => {
      const response = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${testToken}`, ...headers },
        ...(body === undefined ? {} : { body }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
      return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
    },
  };
}
