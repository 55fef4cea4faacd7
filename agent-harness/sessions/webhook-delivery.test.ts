import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { deliveryIdOf, machineWebhook, planDelivery, type RestingNews } from "./webhook-delivery.ts";

const news: RestingNews = {
  project: "shop",
  agentId: "codex-brave-otter",
  provider: "codex",
  status: "idle",
  finalizedAt: "2026-01-02T03:04:05.000Z",
  reason: "interrupted",
  lastMessage: "Done.",
  deliveryId: "d1",
};

test("a delivery's body has what receivers of this webhook know, and the target's own fields", () => {
  const target = { url: "http://h/", token: "t", discordChannel: "#a", sessionKey: "k", extra: { a: 1 } };
  const delivery = planDelivery(news, { session: target });
  expect(delivery).toMatchObject({ id: "d1", event: "agent_completed", url: "http://h/", token: "t" });
  expect(JSON.parse(delivery?.body ?? "")).toEqual({
    event: "agent_completed",
    project: "shop",
    agentId: "codex-brave-otter",
    provider: "codex",
    status: "idle",
    reason: "interrupted",
    lastMessage: "Done.",
    timestamp: "2026-01-02T03:04:05.000Z",
    deliveryId: "d1",
    discordChannel: "#a",
    sessionKey: "k",
    extra: { a: 1 },
  });
  expect(delivery?.body).not.toContain("token");
});

test.each([
  ["idle", "agent_completed"],
  ["error", "agent_error"],
  ["exited", "agent_exited"],
] as const)("%s is told as %s", (status, event) => {
  expect(planDelivery({ ...news, status }, { machine: { url: "http://m/" } })?.event).toBe(event);
});

test("the session's target goes before the project's, and that before the machine's", () => {
  const [session, project, machine] = ["s", "p", "m"].map((one) => ({ url: `http://${one}/` }));
  expect(planDelivery(news, { session, project, machine })?.url).toBe("http://s/");
  expect(planDelivery(news, { project, machine })?.url).toBe("http://p/");
  expect(planDelivery(news, { machine })?.url).toBe("http://m/");
  expect(planDelivery(news, {})).toBeUndefined();
});

test("the machine's target may want some news only, the others are not asked", () => {
  const machine = machineWebhook({ HARNESS_WEBHOOK_URL: "http://m/", HARNESS_WEBHOOK_EVENTS: "agent_error, other" });
  expect(machine).toEqual({ url: "http://m/", events: ["agent_error"] });
  expect(planDelivery(news, { machine })).toBeUndefined();
  expect(planDelivery({ ...news, status: "error" }, { machine })?.url).toBe("http://m/");
  expect(planDelivery(news, { machine, project: { url: "http://p/" } })?.url).toBe("http://p/");
  expect(machineWebhook({})).toBeUndefined();
  expect(machineWebhook({ HARNESS_WEBHOOK_URL: "http://m/", HARNESS_WEBHOOK_TOKEN: "x" })).toEqual({
    url: "http://m/",
    token: "x",
  });
});

test("a delivery's id follows from the rest that it is about", () => {
  const rest = { project: "shop", agentId: "a", status: "idle", observedAt: "2026-01-02T03:04:05.000Z" };
  const text = "shop\0a\0idle\x002026-01-02T03:04:05.000Z";
  expect(deliveryIdOf(rest)).toBe(createHash("sha256").update(text).digest("hex").slice(0, 24));
  expect(deliveryIdOf({ ...rest, status: "error" })).not.toBe(deliveryIdOf(rest));
});
