import { describe, expect, test } from "vitest";
import { useConfigFolder } from "../testing/config-folder.ts";
import { loadConfig } from "./config.ts";

const { root, plant, problems } = useConfigFolder();

describe(".env.agent-harness", () => {
  test.each([
    [
      "AGENT_HARNESS_POOl=1",
      ".env.agent-harness:1: nothing reads `AGENT_HARNESS_POOl`; did you mean `AGENT_HARNESS_POOL`?",
    ],
    ["\n\nDATABASE_URL=x", ".env.agent-harness:3: nothing reads `DATABASE_URL`; known: `AGENT_HARNESS_INFRA_DRIVER`,"],
    ["AGENT_HARNESS_POOL 3", ".env.agent-harness:1: is no `KEY=value` line"],
    [
      "AGENT_HARNESS_POOL=many",
      ".env.agent-harness:1: database.pool: must be a number, not `many` (AGENT_HARNESS_POOL)",
    ],
    ["AGENT_HARNESS_S3_URL=x:y", ".env.agent-harness:1: infra.s3.url: must be a URL"],
    // These say where the harness and the project are: found before this file is, so it cannot say so.
    ["AGENT_HARNESS_HOME=/x", "nothing reads `AGENT_HARNESS_HOME`"],
    ["AGENT_ID=3", "nothing reads `AGENT_ID`"],
    ["AGENT_DB_PORT=x", 'env: AGENT_DB_PORT is "x", which is no port.'],
  ])("%j", async (overrides, says) => {
    expect((await problems("", overrides)).join("\n")).toContain(says);
  });

  test("what is known but no key is allowed; a bad value of the process names the variable", async () => {
    const known = "AGENT_HARNESS_CHROMIUM=/c\nAGENT_DB_IMAGE=x\nDOCKER_HOST=y\nAGENT_DB_PORT=1\n";
    await plant({ "agent-harness.yml": "", ".env.agent-harness": known });
    expect((await loadConfig({ cwd: root(), env: {} })).env).toMatchObject({
      AGENT_HARNESS_CHROMIUM: "/c",
      AGENT_DB_PORT: "1",
    });
    expect(await problems("", known, { AGENT_HARNESS_CLONE_STRATEGY: "wal-log" })).toEqual([
      "env AGENT_HARNESS_CLONE_STRATEGY: database.strategy: is `wal-log`; did you mean `wal_log`?",
    ]);
  });

  test("an override cannot hide that the file has the wrong form there", async () => {
    expect(await problems("infra: [x]", "AGENT_HARNESS_INFRA_DRIVER=auto")).toEqual([
      "agent-harness.yml:1: infra: must be a mapping, not a list",
    ]);
  });
});
