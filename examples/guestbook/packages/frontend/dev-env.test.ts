import { describe, expect, it } from "vitest";
import { readDevEnv } from "./dev-env.ts";

describe("readDevEnv", () => {
  it("gives each agent its own port, API and cache", () => {
    expect(readDevEnv({ AGENT_ID: "2", PORT: "8020", FE_PORT: "3020" })).toEqual({
      port: 3020,
      apiUrl: "http://127.0.0.1:8020",
      cacheFolder: "node_modules/.vite-agent-2",
    });
  });

  it.each(["PORT", "FE_PORT"])("never guesses %s", (name) => {
    const env: Record<string, string> = { PORT: "8020", FE_PORT: "3020" };
    delete env[name];
    expect(() => readDevEnv(env)).toThrow(`${name} is missing`);
    expect(() => readDevEnv({ ...env, [name]: "" })).toThrow(`${name} is missing`);
    expect(() => readDevEnv({ ...env, [name]: "80x0" })).toThrow(`${name} must be a port`);
  });

  it("refuses an AGENT_ID that is a path", () => {
    expect(() => readDevEnv({ AGENT_ID: "../1", PORT: "8020", FE_PORT: "3020" })).toThrow("AGENT_ID must be");
  });
});
