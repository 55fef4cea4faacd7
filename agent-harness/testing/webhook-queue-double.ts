import type { DeliveryQueue } from "../sessions/index.ts";
import type { Delivery, NewDelivery } from "../store/index.ts";

type Claimed = Awaited<ReturnType<DeliveryQueue["claim"]>>[number];

/** A queue of deliveries in memory, with what the real one promises about claims and times. */
export interface QueueDouble extends DeliveryQueue {
  all: Map<string, Claimed>;
  /** For how long each was claimed last. */
  leases: Map<string, number>;
  add(delivery: NewDelivery): Promise<boolean>;
}

/** An empty queue. */
export function queueDouble(): QueueDouble {
  const all = new Map<string, Claimed>();
  const leases = new Map<string, number>();
  const newestFirst = (): Delivery[] => [...all.values()].reverse();
  return {
    all,
    leases,
    add: async (one) => {
      if (all.has(one.id)) return false;
      const now = new Date();
      all.set(one.id, { ...one, state: "pending", attempts: 0, log: [], createdAt: now, nextAt: now });
      return true;
    },
    claim: async (limit, leaseMs) => {
      const now = Date.now();
      const due = [...all.values()].filter((one) => one.state === "pending" && one.nextAt.getTime() <= now);
      for (const one of due.slice(0, limit)) {
        leases.set(one.id, leaseMs);
        one.attempts += 1;
        one.nextAt = new Date(now + leaseMs);
      }
      return due.slice(0, limit).map((one) => structuredClone(one));
    },
    settle: async (id, attempt, outcome) => {
      const one = all.get(id);
      if (one === undefined || one.attempts !== attempt.attempt) return false;
      one.log.push(attempt);
      one.state = outcome.state;
      one.nextAt = new Date(Date.now() + (outcome.state === "pending" ? outcome.inMs : 0));
      return true;
    },
    list: async ({ limit = Number.POSITIVE_INFINITY } = {}) => newestFirst().slice(0, limit),
    count: async () => {
      const count = (state: Delivery["state"]): number => newestFirst().filter((one) => one.state === state).length;
      return { pending: count("pending"), delivered: count("delivered"), failed: count("failed") };
    },
    prune: async () => 0,
  };
}
