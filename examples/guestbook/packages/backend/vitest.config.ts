import { defineConfig } from "vitest/config";

export default defineConfig({
  // As in tsconfig.check.json: `common` from its source, so that tests need nothing built first.
  ssr: { resolve: { conditions: ["source"] } },
  test: { include: ["src/**/*.test.ts"] },
});
