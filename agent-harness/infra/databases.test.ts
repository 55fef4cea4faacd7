import { describe, expect, it } from "vitest";
import { endSessions, listDatabases } from "./databases.ts";
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

describe("listDatabases", () => {
  /** A server that says of its first answers that a database which it was about to measure is gone. */
  function dropping(times: number, code: string): Sql {
    let left = times;
    return {
      query: async () => {
        left -= 1;
        if (left >= 0) throw Object.assign(new Error("database with OID 1 does not exist"), { code });
        return { rows: [{ datname: "a", oid: "7", size: "9" }], fields: [], rowCount: 1, command: "SELECT" };
      },
    };
  }

  it("asks again when a database is dropped while it is measured", async () => {
    const all = await listDatabases(dropping(3, "42704"), "a");
    expect(all).toEqual([{ name: "a", oid: 7, isTemplate: false, sizeBytes: 9 }]);
  });

  it("gives up at last, and at once for any other reason", async () => {
    await expect(listDatabases(dropping(1000, "42704"))).rejects.toMatchObject({ code: "42704" });
    await expect(listDatabases(dropping(1, "42501"))).rejects.toMatchObject({ code: "42501" });
  });
});
