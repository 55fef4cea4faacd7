import type { Memory } from "../../shared/memory.ts";

/** A stack that was launched a moment ago, or is being launched: it has not yet taken what it will need. */
export interface YoungStack {
  id: number;
  estimateBytes: number;
  /** What it has taken so far. */
  usedBytes: number;
}

export interface RoomQuestion {
  memory: Memory;
  /** What has to stay free. */
  reserveBytes: number;
  young: readonly YoungStack[];
  /** What the new stack will need. */
  estimateBytes: number;
}

/** Whether a new stack fits into memory, and the figures behind the answer. */
export interface Room {
  fits: boolean;
  estimateBytes: number;
  /** What the new stack may have. */
  freeBytes: number;
  availableBytes: number;
  reserveBytes: number;
  /** What young stacks will still take. */
  promisedBytes: number;
}

/** Works out the room for one more stack. */
export function roomFor({ memory, reserveBytes, young, estimateBytes }: RoomQuestion): Room {
  const promisedBytes = young.reduce((sum, one) => sum + Math.max(0, one.estimateBytes - one.usedBytes), 0);
  const freeBytes = memory.availableBytes - reserveBytes - promisedBytes;
  const { availableBytes } = memory;
  return { fits: estimateBytes <= freeBytes, estimateBytes, freeBytes, availableBytes, reserveBytes, promisedBytes };
}
