import { defineConfig } from "vitest/config";

/** Their parts take free ports, a database and a folder of their own each: they need no turns. */
const ownParts = ["api", "sessions", "store"].map((floor) => `agent-harness/${floor}/**/*.live.test.ts`);

const isolated = { test: { include: [] as string[], pool: "forks" as const, restoreMocks: true } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...isolated.test,
          name: "fast",
          // More than a test waits for a condition, so that it says which one.
          testTimeout: 20_000,
          include: ["agent-harness/**/*.test.ts", "scripts/**/*.test.ts"],
          exclude: ["**/*.live.test.ts", "**/node_modules/**"],
        },
      },
      {
        test: {
          ...isolated.test,
          name: "live",
          include: ["agent-harness/**/*.live.test.ts"],
          exclude: [...ownParts, "**/node_modules/**"],
          // One machine, one set of ports: the live files take turns.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          ...isolated.test,
          name: "sessions",
          include: ownParts,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
