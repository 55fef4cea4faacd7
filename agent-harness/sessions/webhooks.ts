import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Delivery, DeliveryState, EventLog, NewDelivery, Tables } from "../store/index.ts";
import { type MachineWebhook, machineWebhook } from "./webhook-delivery.ts";
import { type PostResult, parseTarget, postOnce } from "./webhook-post.ts";
import { signatureHeaders, webhookSecret } from "./webhook-signature.ts";

/** The part of the store that webhooks need. Whoever writes `agent_terminal_finalized` adds the delivery in the same transaction. */
export type DeliveryQueue = Pick<Tables["deliveries"], "claim" | "settle" | "list" | "count" | "prune">;

type Outcome = Parameters<DeliveryQueue["settle"]>[2];

/** How often and when a delivery is tried: after 5 s, 10 s, 20 s … at most an hour apart, over about three hours. */
const firstRetryMs = 5000;
const maxRetryMs = 3_600_000;
const maxAttempts = 12;

/** Longer than an attempt may take: a daemon that was killed during one leaves it to others after this. */
const leaseMs = 30_000;
const atOnce = 8;
const usualPollMs = 1000;

/** How long settled deliveries are shown, in days, and how often older ones are forgotten. */
const keptDays = 30;
const pruneMs = 3_600_000;

export interface WebhooksOptions {
  queue: DeliveryQueue;
  /** Looked at as soon as a session has come to rest, instead of at the next look only. */
  events?: Pick<EventLog, "subscribe">;
  paths: Pick<HomePaths, "webhookSecret">;
  env: Readonly<Record<string, string | undefined>>;
  version: string;
  /** How long to wait when nothing was due. */
  pollMs?: number;
  firstRetryMs?: number;
  timeoutMs?: number;
}

/** Delivers what is due, as long as it is open; a door shows its state and tries it out. */
export interface Webhooks extends AsyncDisposable {
  /** The machine's own target, where it has one. */
  machine: MachineWebhook | undefined;
  /** Refuses a URL that nothing could be posted to, before somebody relies on it. */
  requireTarget(url: string): void;
  /** Posts one delivery now, once, outside of the queue. */
  tryOut(delivery: NewDelivery): Promise<PostResult>;
  /** Asks a receiver something, under the same rules as a webhook. */
  probe(url: string, body?: string): Promise<PostResult>;
  recent(limit: number): Promise<Delivery[]>;
  counts(): Promise<Record<DeliveryState, number>>;
  /** Why the queue could not be worked on the last time, until it can again. */
  trouble(): string | undefined;
}

/** Opens the delivery of webhooks. */
export async function openWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const { queue, env, version } = options;
  const secret = await webhookSecret(options.paths, env);
  const allowPrivate = env["HARNESS_WEBHOOK_ALLOW_PRIVATE"] === "1";
  const settings = { allowPrivate, ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }) };
  const userAgent = `agent-harness/${version}`;
  const machine = machineWebhook(env);
  if (machine !== undefined) parseTarget(machine.url, { allowPrivate });
  const post = (one: NewDelivery): Promise<PostResult> =>
    postOnce({ method: "POST", url: one.url, headers: headersOf(one, secret, userAgent), body: one.body }, settings);
  const loop = startLoop(options, post);
  return {
    machine,
    requireTarget: (url) => void parseTarget(url, { allowPrivate }),
    tryOut: post,
    probe: (url, body) => {
      const headers = {
        "user-agent": userAgent,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      };
      return postOnce(
        { method: body === undefined ? "GET" : "POST", url, headers, ...(body === undefined ? {} : { body }) },
        settings,
      );
    },
    recent: (limit) => queue.list({ limit }),
    counts: () => queue.count(),
    trouble: loop.trouble,
    [Symbol.asyncDispose]: loop.stop,
  };
}

function headersOf(one: NewDelivery, secret: string, userAgent: string): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": userAgent,
    ...(one.token === undefined ? {} : { authorization: `Bearer ${one.token}` }),
    ...signatureHeaders(secret, one.id, new Date(), one.body),
  };
}

type ClaimedDelivery = Awaited<ReturnType<DeliveryQueue["claim"]>>[number];

type Poster = (one: NewDelivery) => Promise<PostResult>;

interface Loop {
  stop(): Promise<void>;
  trouble(): string | undefined;
}

function startLoop(options: WebhooksOptions, post: Poster): Loop {
  const { queue, pollMs = usualPollMs } = options;
  let stopped = false;
  let trouble: string | undefined;
  let rest = new AbortController();
  let prunedAt = Number.NEGATIVE_INFINITY;
  const round = async (): Promise<number> => {
    try {
      if (performance.now() - prunedAt > pruneMs) {
        await queue.prune(keptDays);
        prunedAt = performance.now();
      }
      const due = await queue.claim(atOnce, leaseMs);
      await Promise.all(due.map((one) => deliver(one, options, post)));
      trouble = undefined;
      return due.length;
    } catch (error) {
      // What could not be claimed or settled is due again later, here or in another daemon.
      trouble = errorText(error);
      return 0;
    }
  };
  const work = async (): Promise<void> => {
    while (!stopped) {
      rest = new AbortController();
      // A full hand means that there may be more.
      if ((await round()) === atOnce) continue;
      await delay(pollMs, undefined, { signal: rest.signal }).catch(() => undefined);
    }
  };
  const left = new AbortController();
  const working = Promise.all([work(), listen(options, left.signal, () => rest.abort())]);
  return {
    trouble: () => trouble,
    stop: async () => {
      stopped = true;
      left.abort();
      rest.abort();
      await working;
    },
  };
}

/** Calls `wake` for each rest of a session. What is missed here is found by the next look. */
async function listen(
  { events, pollMs = usualPollMs }: WebhooksOptions,
  signal: AbortSignal,
  wake: () => void,
): Promise<void> {
  while (events !== undefined && !signal.aborted) {
    try {
      for await (const feed of events.subscribe({}, { signal })) {
        if (feed.kind === "event" && feed.event.type === "agent_terminal_finalized") wake();
      }
    } catch {
      // Whatever it is, the queue says so too.
    }
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

async function deliver(one: ClaimedDelivery, options: WebhooksOptions, post: Poster): Promise<void> {
  const at = new Date().toISOString();
  const start = performance.now();
  const { status, error, ...result } = await post(one);
  const ms = Math.round(performance.now() - start);
  const told = { ...(status === null ? {} : { status }), ...(error === null ? {} : { error }) };
  const outcome = outcomeOf({ ...result, status, error }, one.attempts, options);
  await options.queue.settle(one.id, { attempt: one.attempts, at, ms, ...told }, outcome);
}

/** Whether an attempt was the last one, else when the next one is. A receiver that says it is gone gets no other. */
export function outcomeOf(
  result: PostResult,
  attempts: number,
  { firstRetryMs: first = firstRetryMs }: Pick<WebhooksOptions, "firstRetryMs"> = {},
): Outcome {
  if (result.ok) return { state: "delivered" };
  if (result.status === 410 || attempts >= maxAttempts) return { state: "failed" };
  // Spread, so that what failed at once is not tried at once.
  const backoffMs = Math.min(maxRetryMs, first * 2 ** (attempts - 1)) * (0.9 + 0.2 * Math.random());
  return {
    state: "pending",
    inMs: Math.round(Math.max(backoffMs, Math.min(maxRetryMs, result.retryAfterMs ?? 0))),
  };
}
