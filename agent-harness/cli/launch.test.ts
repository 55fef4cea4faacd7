import { expect, test } from "vitest";
import { HarnessError } from "../shared/errors.ts";
import { runHarness } from "./index.ts";
import { allTogether } from "./launch.ts";

test("work done together: one failure loses neither what went well nor the other errors", async () => {
  let told = "";
  const stderr = (text: string): void => {
    told += text;
  };
  const fail = (message: string) => Promise.reject(new HarnessError("PORT_TAKEN", message));
  const work = [Promise.resolve(1), fail("two"), Promise.resolve(3), fail("four")];
  await expect(allTogether(work, (id) => `agent ${id} is ready\n`, { stderr })).rejects.toThrow("two");
  expect(told).toBe("agent 1 is ready\nagent 3 is ready\nerror PORT_TAKEN: four\n");
  expect(await allTogether([Promise.resolve(1)], String, { stderr })).toEqual([1]);
});

async function refused(program: typeof runHarness, ...argv: string[]): Promise<{ exitCode: number; stderr: string }> {
  let stderr = "";
  const take = (text: string): void => {
    stderr += text;
  };
  return {
    exitCode: await program(argv, { env: { HOME: "/nowhere" }, stdout: () => undefined, stderr: take }),
    stderr,
  };
}

test.each(["name=x", "AGENT_ID=4", "AGENT_HARNESS_MARK=x", "no-value"])("launch --env %s is refused", async (pair) => {
  const { exitCode, stderr } = await refused(runHarness, "launch", "3", "--env", pair);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("error USAGE: --env") });
});

test.each(["abc", "-5", "1.5"])("infra logs --lines %s is refused", async (lines) => {
  expect(await refused(runHarness, "infra", "logs", `--lines=${lines}`)).toMatchObject({ exitCode: 2 });
});
