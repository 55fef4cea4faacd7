import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, killedWhile } from "../testing/crash.ts";
import { openSmall, type SmallHarness } from "../testing/small.ts";
import { resourceKinds } from "./ledger.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

// The claim on the id is given back after all the others and has no step of its own.
describe.each(resourceKinds.filter((kind) => kind !== "ports").reverse())("a teardown killed at %s", (kind) => {
  test.each(["start", "done"] as const)("(its %s) is finished by the next, or launched over", async (event) => {
    const again = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      await killedWhile(h, { verb: "teardown", repo, id }, kind, event);
      await h.ok(repo, "teardown", String(id));
      expect(await h.left(id)).toEqual([]);
    };
    const over = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      await killedWhile(h, { verb: "teardown", repo, id }, kind, event);
      await h.ok(repo, "launch", String(id));
      expect(await h.ask(repo, String(id), "health")).toMatchObject({ healthy: true });
      expect(await h.sql(`agent_${id}`, "select text from notes")).toEqual([{ text: "seed" }]);
    };
    await Promise.all([again(69), over(70)]);
  });
});
