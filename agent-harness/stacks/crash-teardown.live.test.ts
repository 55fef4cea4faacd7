import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, killedWhile, plainKinds, startDoing } from "../testing/crash.ts";
import { openSmall, type SmallHarness } from "../testing/small.ts";
import { sendMail } from "../testing/smtp.ts";
import { until } from "../testing/until.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

/** A launched stack that has something of every kind. */
async function launched(id: number): Promise<void> {
  await h.ok(repo, "launch", String(id));
  const { mail } = await h.infra();
  const from = `agent-${id}@agent-harness.test`;
  await sendMail(mail.smtpPort, { from, to: ["you@example.test"], subject: "one", text: "one" });
  await until("the mail is there", async () => ((await h.ask(repo, String(id), "mail")) as unknown[]).length > 0);
}

// The claim on the id is given back after all the others and has no step of its own; after-clone leaves nothing of its own.
const kinds = plainKinds.filter((kind) => kind !== "ports" && kind !== "after-clone").reverse();

describe.each(kinds)("a teardown killed at %s", (kind) => {
  test.each(["start", "done"] as const)("(its %s) is finished by the next, or launched over", async (event) => {
    const again = async (id: number): Promise<void> => {
      await launched(id);
      await killedWhile(h, { verb: "teardown", repo, id }, kind, event);
      await h.ok(repo, "teardown", String(id));
      expect(await h.left(id)).toEqual([]);
    };
    const over = async (id: number): Promise<void> => {
      await launched(id);
      await killedWhile(h, { verb: "teardown", repo, id }, kind, event);
      await h.ok(repo, "launch", String(id));
      expect(await h.ask(repo, String(id), "health")).toMatchObject({ healthy: true });
      expect(await h.sql(`agent_${id}`, "select text from notes")).toEqual([{ text: "seed" }]);
    };
    await Promise.all([again(69), over(70)]);
  });
});

test("teardowns killed at any time are finished by the next", async () => {
  for (const afterMs of [300, 350, 400, 450, 500, 550, 600, 700]) {
    await h.ok(repo, "launch", "71");
    await startDoing(h, { verb: "teardown", repo, id: 71 }, { afterMs }).ended;
    await h.ok(repo, "teardown", "71");
    expect(await h.left(71), `${afterMs} ms`).toEqual([]);
  }
});
