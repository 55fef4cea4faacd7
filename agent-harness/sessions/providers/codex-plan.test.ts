import { describe, expect, it } from "vitest";
import { startedRecord, Told } from "../../testing/codex-told.ts";
import { startRequest } from "../../testing/replay.ts";
import type { StartRequest } from "../provider.ts";
import type { RunWay } from "../session.ts";
import { codex } from "./codex.ts";

describe("what codex is started with", () => {
  const plan = (changes: Partial<StartRequest>, runIn: RunWay = "headless") =>
    codex.ways[runIn].plan(startRequest(runIn, changes));

  it("asks the model server that is configured, with a key that is in no argument", () => {
    const settings = { extraArgs: ["--enable", "x"], modelUrl: "http://127.0.0.1:8099", modelKey: "k-1" };
    const { backend } = plan({ settings }).keeper;
    const argv = backend?.argv.join(" ") ?? "";
    expect(argv).toContain('base_url = "http://127.0.0.1:8099/v1"');
    expect(argv).toMatch(/--enable x app-server$/);
    expect(argv).not.toContain("k-1");
    expect(Object.values(backend?.env ?? {})).toContain("k-1");
  });

  it("has a home of its own, with the person's login linked, or made from a key", () => {
    const auth = (env: Record<string, string>) => plan({ env }).files.find(({ path }) => path.endsWith("/auth.json"));
    expect(plan({}).keeper.backend?.env["CODEX_HOME"]).toBe("/home/agent/s/codex");
    expect(auth({ HOME: "/home/me" })).toEqual({
      path: "/home/agent/s/codex/auth.json",
      linkTo: "/home/me/.codex/auth.json",
    });
    expect(auth({ HOME: "/home/me", CODEX_HOME: "/own", OPENAI_API_KEY: "sk-1" })).toMatchObject({
      linkTo: "/own/auth.json",
      orText: expect.stringContaining("sk-1"),
    });
    expect(auth({ HOME: "/home/me", CODEX_API_KEY: "sk-2" })).toMatchObject({ text: expect.stringContaining("sk-2") });
  });

  it("says what may be done without asking", () => {
    const opening = (permissions: StartRequest["permissions"]) => {
      const session = new Told(startRequest("headless", { permissions, task: "Do." }));
      session.read(startedRecord);
      return (JSON.parse(session.owed[2] ?? "") as { params: unknown }).params;
    };
    expect(opening("ask")).toMatchObject({ approvalPolicy: "untrusted" });
    expect(opening("edits")).toMatchObject({ approvalPolicy: "on-request", sandbox: "workspace-write" });
    expect(opening("all")).toMatchObject({ approvalPolicy: "never", sandbox: "danger-full-access" });
  });

  it("shows the session in the terminal over the same server", () => {
    const { keeper, files } = plan({}, "tmux");
    expect(keeper.terminal?.argv.slice(-2)).toEqual(["--remote", "unix:///home/agent/s/codex.sock"]);
    expect(keeper.backend?.argv).toContain("/home/agent/s/codex.sock");
    expect(files).toContainEqual({ path: "/home/agent/s/codex-thread", text: "" });
  });
});
