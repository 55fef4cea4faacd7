import { describe, expect, it } from "vitest";
import { endSessions } from "./databases.ts";
import type { Sql } from "./sql.ts";

/** A server that has these sessions at each look; the last are those that never end. */
function server(...looks: number[][]): Sql {
  const answer = (): number[] => (looks.length > 1 ? looks.shift() : looks[0]) ?? [];
  return {
    query: async () => ({ rows: answer().map((pid) => ({ pid })), fields: [], rowCount: null, command: "SELECT" }),
  };
}

describe("endSessions", () => {
  it("waits for each of them", async () => {
    await expect(endSessions(server([11, 12], [11, 12], [12], []), "agent_50")).resolves.toBeUndefined();
    await expect(endSessions(server([]), "agent_50")).resolves.toBeUndefined();
  });

  it("names the sessions that are still there after the limit", async () => {
    await expect(endSessions(server([11, 12], [12]), "agent_50", 20)).rejects.toMatchObject({
      code: "POSTGRES_UNAVAILABLE",
      message: expect.stringMatching(/agent_50 .*20 ms: server pids 12\./),
    });
  });
});
