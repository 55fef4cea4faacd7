import { describe, expect, it } from "vitest";
import { endSessions } from "./databases.ts";
import type { Sql } from "./sql.ts";

/** A server that has these sessions at the first look and those at the second, and ends none of them. */
function server(first: number[], second: number[]): Sql {
  const answers = [first.map((pid) => ({ pid, gone: false })), second.map((pid) => ({ pid }))];
  return {
    query: async () => ({ rows: answers.shift() ?? [], fields: [], rowCount: null, command: "SELECT" }),
  };
}

describe("endSessions", () => {
  it("is content with a session that ended by itself, of which the server says that it did not end it", async () => {
    await expect(endSessions(server([11, 12], []), "agent_50")).resolves.toBeUndefined();
  });

  it("names the sessions that are still there after the limit", async () => {
    await expect(endSessions(server([11, 12], [12]), "agent_50")).rejects.toMatchObject({
      code: "POSTGRES_UNAVAILABLE",
      message: expect.stringMatching(/agent_50 .*5000 ms: server pids 12\./),
    });
  });
});
