import { describe, expect, test } from "vitest";
import { countLevels, fine, found, worstOf } from "./doctor/finding.ts";
import { judgeMemory } from "./doctor/memory.ts";
import { judgeOrphans } from "./doctor/orphans.ts";
import { judgePort } from "./doctor/ports.ts";
import { isAtLeast, judgeGit, judgeNode, levelOfDocker } from "./doctor/programs.ts";
import { judgeDaemon } from "./doctor/services.ts";
import { judgeDisk, judgeInodes } from "./doctor/space.ts";
import { judgeInstances, judgeWatches } from "./doctor/watches.ts";

const gib = 1024 ** 3;

test("a level is the worst of its findings", () => {
  const bad = { what: "", cause: "", fix: "" };
  const all = [fine("DOCTOR_NODE", ""), found("DOCTOR_GIT", "warning", bad), found("DOCTOR_PS", "note", bad)];
  expect(worstOf(all)).toBe("warning");
  expect(worstOf([])).toBe("ok");
  expect(countLevels(all)).toEqual({ ok: 1, note: 1, warning: 1, error: 0 });
});

test("a finding is fixable when there is something that mends it", () => {
  const bad = { what: "a", cause: "b", fix: "c" };
  expect(found("DOCTOR_PS", "note", bad).fixable).toBe(false);
  expect(found("DOCTOR_PS", "note", { ...bad, mend: async () => "" }).fixable).toBe(true);
});

describe("programs", () => {
  test.each([
    ["20.19.0", true],
    ["20.18.9", false],
    ["22.1.0", true],
    ["18.20.4", false],
    ["20.19.0-nightly", true],
  ])("Node %s is new enough: %s", (version, enough) => {
    expect(isAtLeast(version, [20, 19])).toBe(enough);
    expect(judgeNode(version).level).toBe(enough ? "ok" : "error");
  });

  test.each([
    ["git version 2.39.5\n", "ok"],
    ["git version 2.39.2 (Apple Git-143)\n", "ok"],
    ["git version 2.30.2\n", "warning"],
    [undefined, "error"],
  ])("what git printed, %j, is %s", (printed, level) => {
    expect(judgeGit(printed).level).toBe(level);
  });

  test("Docker is missed only where it is to be used", () => {
    expect((["auto", "compose", "embedded"] as const).map(levelOfDocker)).toEqual(["note", "error", "ok"]);
  });
});

describe("room", () => {
  test.each([
    [66 * gib, "ok"],
    [4 * gib, "warning"],
    [gib / 2, "error"],
  ])("%d bytes free on a disk are %s", (free, level) => {
    expect(judgeDisk("/ (the home)", free)).toMatchObject({ code: "DOCTOR_DISK", level });
  });

  test("inodes count by their part; a file system without a number of them has enough", () => {
    expect(judgeInodes("/", { files: 1000, free: 500 }).level).toBe("ok");
    expect(judgeInodes("/", { files: 1000, free: 40 }).level).toBe("warning");
    expect(judgeInodes("/", { files: 1000, free: 5 }).level).toBe("error");
    expect(judgeInodes("/", { files: 0, free: 0 }).level).toBe("ok");
  });

  test("memory is counted in stacks", () => {
    const stack = { bytes: gib, source: "a guess" };
    expect(judgeMemory(10 * gib, stack)).toMatchObject({
      level: "ok",
      what: expect.stringContaining("10 more stacks"),
    });
    expect(judgeMemory(1.5 * gib, stack)).toMatchObject({
      level: "note",
      what: expect.stringContaining("1 more stack "),
    });
    expect(judgeMemory(gib / 2, stack)).toMatchObject({ level: "warning", what: expect.stringContaining("0 more") });
  });

  test("watches are too few by their limit, or when they are nearly used up", () => {
    expect(judgeWatches({ used: 10, limit: 524_288 }).level).toBe("ok");
    expect(judgeWatches({ used: 10, limit: 8192 }).level).toBe("note");
    expect(judgeWatches({ used: 500_000, limit: 524_288 })).toMatchObject({
      level: "warning",
      fix: expect.stringContaining("max_user_watches"),
    });
    expect(judgeInstances({ used: 10, limit: 128 }).level).toBe("ok");
    expect(judgeInstances({ used: 120, limit: 128 })).toMatchObject({
      level: "warning",
      fix: expect.stringContaining("max_user_instances"),
    });
  });
});

describe("a port", () => {
  const use = { id: 3, name: "api", port: 8030 };

  test("that is free, or its own agent's, is nothing to tell of", () => {
    expect(judgePort(use, true)).toEqual([]);
    expect(judgePort({ ...use, holder: { pid: 7, command: "node", agent: 3 } }, true)).toEqual([]);
  });

  test("of somebody else is an error where the stack lives, else a warning; the holder is named", () => {
    const holder = { pid: 4711, command: "python3 -m http.server" };
    expect(judgePort({ ...use, holder }, true)).toMatchObject([{ level: "error" }]);
    const [finding] = judgePort({ ...use, holder }, false);
    expect(finding).toMatchObject({ level: "warning", fix: expect.stringContaining("kill 4711"), fixable: false });
    expect(finding?.what).toBe("port 8030 (api of agent 3) is held by pid 4711 (python3 -m http.server)");
  });

  test("of another agent is not to be killed for", () => {
    const [finding] = judgePort({ ...use, holder: { pid: 7, command: "node", agent: 5 } }, false);
    expect(finding?.fix).toContain("agent-harness teardown 5");
    expect(finding?.fix).not.toContain("kill");
  });
});

describe("the PM2 daemon", () => {
  test("of another version is started anew only while no stack runs under it", async () => {
    const renew = async (): Promise<string> => "done";
    expect(judgeDaemon({ pid: 1, version: "7.0.4" }, "7.0.4", renew).level).toBe("ok");
    expect(judgeDaemon({ pid: 1, version: "6.0.0" }, "7.0.4", renew)).toMatchObject({
      level: "warning",
      fixable: true,
    });
    const used = judgeDaemon({ pid: 1, version: "6.0.0" }, "7.0.4", undefined);
    expect(used).toMatchObject({ level: "warning", fixable: false, fix: expect.stringContaining("teardown-all") });
  });
});

describe("orphans", () => {
  const mend = async (): Promise<string> => "";
  const item = { kind: "database", reason: "why" };

  test("that would go are one finding, each that stays one more", () => {
    const items = [1, 2, 3, 4, 5].map((id) => ({ ...item, name: `agent_${id}`, action: "would remove" as const }));
    const kept = { kind: "worktree", name: "/w", action: "kept" as const, reason: "it has work" };
    const findings = judgeOrphans([...items, kept], mend);
    expect(findings).toMatchObject([
      { level: "warning", fixable: true, fix: "agent-harness gc" },
      { level: "note", cause: "it has work", fixable: false },
    ]);
    expect(findings[0]?.what).toMatch(/^5 things .*agent_4 …$/);
  });

  test("that somebody is at work on are none", () => {
    expect(judgeOrphans([{ ...item, name: "agent_1", action: "skipped" }], mend)).toMatchObject([{ level: "ok" }]);
    expect(judgeOrphans([], mend)).toMatchObject([{ level: "ok" }]);
  });
});
