import { defineConfig } from "vitest/config";

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
          // One machine, one set of ports: the live files take turns.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
