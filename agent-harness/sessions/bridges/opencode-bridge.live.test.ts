import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openTrial } from "../../testing/provider-trial.ts";
import { opencode } from "../providers/opencode.ts";

const command = fileURLToPath(new URL("../../testing/fake-opencode.mjs", import.meta.url));

it("misses nothing of a server whose events break off: what is asked, what is said, that it is over", async () => {
  await using trial = await openTrial(opencode, {
    runIn: "headless",
    task: "Begin.",
    settings: { command, extraArgs: [] },
  });
  expect(await trial.untilPending()).toMatchObject({ id: "per_1", title: "ls" });
  await trial.respond({ decision: "allow" });
  await trial.untilStatus("idle");
  expect(trial.messages().map(({ role, text }) => `${role}: ${text}`)).toEqual([
    "user: Begin.",
    "assistant: It was: once.",
  ]);
  const { mode } = await stat(join(trial.folder, "opencode-server"));
  expect(mode & 0o777).toBe(0o600);
});

it("says why there is no server, and ends", async () => {
  await using trial = await openTrial(opencode, {
    runIn: "headless",
    task: "Begin.",
    settings: { command: "/nowhere/opencode", extraArgs: [] },
  });
  await trial.untilStatus("error");
  expect(trial.updates.find(({ type }) => type === "error")).toMatchObject({
    message: expect.stringContaining("could not be started"),
  });
  await trial.until("its end", () => trial.records.some(({ from }) => from === "exited"));
});
