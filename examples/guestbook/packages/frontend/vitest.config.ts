import { defineConfig } from "vitest/config";

export default defineConfig({
  // `common` from its source, so that tests need nothing built first.
  ssr: { resolve: { conditions: ["source"] } },
  test: { include: ["**/*.test.{ts,tsx}"] },
});
