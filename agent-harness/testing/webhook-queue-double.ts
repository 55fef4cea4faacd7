import type { Delivery, DeliveryQueue } from "../sessions/webhooks.ts";

/** A queue of deliveries in memory, with what the real one promises about claims and times. */
export function queueDouble(): DeliveryQueue & { all: Map<string, Delivery>; leases: Map<string, number> } {
  const all = new Map<string, Delivery>();
  const leases = new Map<string, number>();
  const newestFirst = (): Delivery[] => [...all.values()].reverse();
  return {
    all,
    leases,
    add: async (one) => {
      if (all.has(one.id)) return;
      all.set(one.id, { ...one, state: "pending", attempts: [], createdAt: new Date(), nextAt: new Date() });
    },
    claim: async ({ limit, leaseMs }) => {
      const now = Date.now();
      const due = [...all.values()]
        .filter((one) => one.state === "pending" && (one.nextAt?.getTime() ?? 0) <= now)
        .slice(0, limit);
      for (const one of due) {
        leases.set(one.id, leaseMs);
        one.nextAt = new Date(now + leaseMs);
      }
      return due.map((one) => structuredClone(one));
    },
    settle: async (id, attempt, outcome) => {
      const one = all.get(id);
      if (one === undefined) return;
      one.attempts.push(attempt);
      one.state = outcome.state;
      one.nextAt = outcome.state === "pending" ? new Date(Date.now() + outcome.retryInMs) : null;
    },
    recent: async (limit) => newestFirst().slice(0, limit),
    counts: async () => {
      const count = (state: Delivery["state"]): number => newestFirst().filter((one) => one.state === state).length;
      return { pending: count("pending"), delivered: count("delivered"), failed: count("failed") };
    },
  };
}
