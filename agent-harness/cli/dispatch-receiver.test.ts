import { expect, test } from "vitest";
import { type HintReceiver, openHintReceiver } from "./dispatch-receiver.ts";

/** Posts a webhook as the server does, and gives the status. */
async function post({ callback: { url, token } }: HintReceiver, agentId: string, event: string): Promise<number> {
  const body = JSON.stringify({ project: "shop", agentId, event });
  return (await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body })).status;
}

test("webhooks that were to go to the receiver of a dead run are taken by the next one", async () => {
  const dead = await openHintReceiver();
  await dead[Symbol.asyncDispose]();
  await using next = await openHintReceiver(dead.address);
  const heard: string[] = [];
  next.listen(({ agentId }) => heard.push(agentId));
  expect(next.callback).toEqual(dead.callback);
  expect(await post(dead, "codex-r1-1", "agent_completed")).toBe(204);
  expect(heard).toEqual(["codex-r1-1"]);
});

test("a port that somebody else has by now is left to them", async () => {
  await using other = await openHintReceiver();
  await using next = await openHintReceiver(other.address);
  expect(next.address.port).not.toBe(other.address.port);
  expect(await post(next, "codex-r1-1", "agent_completed")).toBe(204);
});

test("the last webhook of each agent is waited for, and no longer than the limit", async () => {
  await using receiver = await openHintReceiver();
  const wait = async (limitMs: number, ...agents: { id: string; deleted: boolean }[]): Promise<number> => {
    const start = performance.now();
    await receiver.untilPosted(agents, limitMs);
    return performance.now() - start;
  };
  expect(await wait(60_000)).toBeLessThan(10_000);
  const [kept, deleted] = [
    { id: "a", deleted: false },
    { id: "b", deleted: true },
  ];
  const waiting = wait(60_000, kept, deleted);
  await post(receiver, "a", "agent_completed");
  await post(receiver, "b", "agent_completed");
  expect(await wait(50, kept, deleted)).toBeGreaterThan(45);
  await post(receiver, "b", "agent_exited");
  expect(await waiting).toBeLessThan(10_000);
});
