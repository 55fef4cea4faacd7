import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, killedWhile, plainKinds } from "../testing/crash.ts";
import { openSmall, type SmallHarness } from "../testing/small.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

async function works(id: number): Promise<void> {
  const answer = await fetch(`http://localhost:${8000 + id * 10}/`);
  expect(await answer.json()).toMatchObject({ id: String(id), database: `agent_${id}` });
  expect(await h.sql(`agent_${id}`, "select text from notes")).toEqual([{ text: "seed" }]);
}

// Of a launch with a worktree: crash-worktree.live.test.ts.
describe.each([...plainKinds, "health"])("a launch killed at %s", (kind) => {
  test.each(["start", "done"] as const)("(its %s) is taken on by the next, or torn down at once", async (event) => {
    const again = async (id: number): Promise<void> => {
      await killedWhile(h, { verb: "launch", repo, id }, kind, event);
      await h.ok(repo, "launch", String(id));
      await works(id);
      await h.ok(repo, "teardown", String(id));
      expect(await h.left(id)).toEqual([]);
    };
    const atOnce = async (id: number): Promise<void> => {
      await killedWhile(h, { verb: "launch", repo, id }, kind, event);
      await h.ok(repo, "teardown", String(id));
      expect(await h.left(id)).toEqual([]);
    };
    await Promise.all([again(67), atOnce(68)]);
  });
});

test("no database of ours that nobody owns is left", async () => {
  const rows = await h.sql(
    "postgres",
    "select datname from pg_database where datname ~ '^(agent_[0-9]|ah_)' order by 1",
  );
  expect(rows.map((row) => String(row["datname"]).replace(/_[0-9a-f]{8,}$/, ""))).toEqual(["ah_tpl"]);
});
