import { describe, expect, it } from "vitest";
import type { StartRequest } from "../provider.ts";
import { planPipe, planTerminal } from "./claude-code-plan.ts";

const start = (more: Partial<StartRequest> = {}): StartRequest => ({
  id: "claude-code-brave-otter",
  cwd: "/home/me/my.app",
  runIn: "headless",
  folder: "/h/sessions/it's",
  socket: "/h/sessions/it's/keeper.sock",
  permissions: "ask",
  env: { HOME: "/home/me", PATH: "/bin" },
  settings: { extraArgs: ["--debug"] },
  ...more,
});
const behind = (argv: readonly string[] | undefined, word: string): string | undefined =>
  argv?.[argv.indexOf(word) + 1];
const text = (files: { path: string }[], end: string): string =>
  (files.find(({ path }) => path.endsWith(end)) as { text?: string } | undefined)?.text ?? "";

describe("on pipes", () => {
  it("speaks stream-json, asks over it, and names its session", () => {
    const { keeper, state } = planPipe(start({ task: "Go.", model: "opus" }));
    const argv = keeper.backend?.argv ?? [];
    expect(argv[0]).toBe("claude");
    expect(argv).toEqual(expect.arrayContaining(["-p", "--verbose", "--permission-prompt-tool", "stdio", "--debug"]));
    expect(behind(argv, "--session-id")).toBe(state.session);
    expect(behind(argv, "--model")).toBe("opus");
    expect(behind(argv, "--permission-mode")).toBe("default");
    expect(argv).not.toContain("Go.");
    expect(state.file).toBe(`/home/me/.claude/projects/-home-me-my-app/${state.session}.jsonl`);
    expect(keeper.backend?.env).toMatchObject({ PATH: "/bin", CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1" });
    expect(keeper.backend?.env).not.toHaveProperty("IS_SANDBOX");
  });

  it("is resumed under the name that it had", () => {
    const { keeper, state } = planPipe(start({ resume: "abc" }));
    expect(behind(keeper.backend?.argv, "--resume")).toBe("abc");
    expect(keeper.backend?.argv).not.toContain("--session-id");
    expect(state).toMatchObject({ session: "abc" });
    expect(state).not.toHaveProperty("task");
  });

  it("may do everything as root too", () => {
    const { keeper } = planPipe(start({ permissions: "all" }));
    expect(behind(keeper.backend?.argv, "--permission-mode")).toBe("bypassPermissions");
    expect(keeper.backend?.env["IS_SANDBOX"]).toBe("1");
  });

  it("keeps instructions out of the arguments, which everybody sees", () => {
    const { keeper, files } = planPipe(start({ instructions: "The password is heron." }));
    expect(JSON.stringify(keeper.backend?.argv)).not.toContain("heron");
    expect(text(files, behind(keeper.backend?.argv, "--append-system-prompt-file") ?? "-")).toBe(
      "The password is heron.",
    );
  });
});

describe("in a terminal", () => {
  it("reads its task from a file, whatever its length, and nobody sees it among the processes", () => {
    const task = `--help me ${"x".repeat(200_000)}`;
    const { keeper, files, state } = planTerminal(start({ task }));
    expect(keeper.terminal?.stdin).toBe("/h/sessions/it's/task.txt");
    expect(text(files, "/task.txt")).toBe(task);
    expect(JSON.stringify(keeper.terminal?.argv)).not.toContain("--help me");
    expect(state.hasTask).toBe(true);
    expect(planTerminal(start()).keeper.terminal).not.toHaveProperty("stdin");
  });

  it("has hooks that find the keeper through a shell", () => {
    const { files, keeper } = planTerminal(start());
    const { hooks } = JSON.parse(text(files, behind(keeper.terminal?.argv, "--settings") ?? "-"));
    const command = (name: string): string => hooks[name][0].hooks[0].command;
    expect(command("Stop")).toMatch(/claude-hook\.js '\/h\/sessions\/it'\\''s\/keeper\.sock'$/);
    expect(command("PermissionRequest")).toBe(`${command("Stop")} wait`);
  });

  it("uses the person's own settings where the person is logged in", () => {
    const { keeper, files } = planTerminal(start());
    expect(keeper.terminal?.env).not.toHaveProperty("CLAUDE_CONFIG_DIR");
    expect(files).toHaveLength(1);
    expect(keeper.follow).toEqual([
      expect.stringMatching(/^\/home\/me\/\.claude\/projects\/\*\/[0-9a-f-]{36}\.jsonl$/),
    ]);
  });

  it("asks nothing at its first start where its key comes by a variable, and shows only the key's end", () => {
    const env = { HOME: "/home/me", ANTHROPIC_API_KEY: "sk-secret-beginning-and-its-last-twenty" };
    const { keeper, files } = planTerminal(start({ env, permissions: "all" }));
    const folder = keeper.terminal?.env["CLAUDE_CONFIG_DIR"];
    expect(folder).toBe("/h/sessions/it's/claude");
    const seed = JSON.parse(text(files, ".claude.json"));
    expect(seed).toMatchObject({
      hasCompletedOnboarding: true,
      customApiKeyResponses: { approved: ["-and-its-last-twenty"] },
      projects: { "/home/me/my.app": { hasTrustDialogAccepted: true } },
    });
    expect(JSON.stringify(files)).not.toContain("sk-secret");
    expect(keeper.watch).toEqual([`${folder}/sessions/*.json`]);
  });

  it("leaves a folder that the environment names to the program", () => {
    const env = { HOME: "/home/me", ANTHROPIC_API_KEY: "k", CLAUDE_CONFIG_DIR: "/profiles/work" };
    const { keeper, files } = planTerminal(start({ env }));
    expect(keeper.terminal?.env["CLAUDE_CONFIG_DIR"]).toBe("/profiles/work");
    expect(files.map(({ path }) => path)).not.toContain("/profiles/work/.claude.json");
    expect(keeper.follow?.[0]).toMatch(/^\/profiles\/work\/projects\//);
  });
});
