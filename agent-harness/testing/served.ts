import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { keeperVariable, sessionFolderVariable } from "../shared/names.ts";
import { homePaths, packageRoot } from "../shared/paths.ts";
import { listMarked } from "../shared/process-tree.ts";
import { agentCliEnv } from "./agent-clis.ts";
import type { TestHarness } from "./harness.ts";
import { freePorts } from "./ports.ts";
import { shortFolder } from "./short-folder.ts";
import { until } from "./until.ts";

/** What the API answered. */
export interface Answer {
  status: number;
  json: Record<string, unknown>;
}

/** The real `agent-harness serve` of a test's home, for the real coding agents, which find a private HOME. */
export interface Served extends AsyncDisposable {
  ask(method: string, path: string, json?: unknown): Promise<Answer>;
  /** Creates a project with one session to be. */
  project(name: string, more?: object): Promise<ServedProject>;
  /** Command lines of what runs for any session of this home. */
  running(): Promise<string[]>;
}

/** A project with at most one session, which is called as it is. */
export interface ServedProject {
  create(agent: object): Promise<Answer>;
  agent(): Promise<Record<string, unknown>>;
  input(text: string): Promise<Answer>;
  /** The last that the session said. */
  said(): Promise<unknown>;
  /** Waits until it is idle; fails when it comes to rest in another way. */
  untilIdle(): Promise<void>;
  /** Deletes it with its session. */
  end(): Promise<void>;
}

/** Starts it; infra comes up with it. What sessions run when it is disposed of is ended. */
export async function serveSessions({ home, env }: Pick<TestHarness, "home" | "env">): Promise<Served> {
  const [port] = await freePorts(1);
  const userHome = await shortFolder("ah-user-");
  const own = Object.entries(env).filter(([name]) => name.startsWith("AGENT_"));
  const program = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const child = spawn(process.execPath, [program, "serve", "--port", String(port)], {
    cwd: home,
    env: { ...agentCliEnv(userHome), ...Object.fromEntries(own) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) if (line.includes("serves")) break;
  const authorization = `Bearer ${(await readFile(homePaths(home).apiToken, "utf8")).trim()}`;
  const ask: Served["ask"] = async (method, path, json) => {
    const body = json === undefined ? {} : { body: JSON.stringify(json) };
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
      method,
      headers: { authorization },
      ...body,
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Answer["json"]) };
  };
  const names: string[] = [];
  return {
    ask,
    project: async (name, more = {}) => {
      expect(await ask("POST", "/projects", { name, cwd: home, ...more })).toMatchObject({ status: 201 });
      names.push(name);
      return projectOf(ask, name);
    },
    running: async () => {
      const inHome = (value: string): boolean => value.startsWith(`${home}/`);
      const marks = [sessionFolderVariable, keeperVariable].map((name) => listMarked(name, inHome));
      return (await Promise.all(marks)).flat().map(({ command }) => command);
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of names) await ask("DELETE", `/projects/${name}`);
      child.kill("SIGTERM");
      await ended;
      await rm(userHome, { recursive: true, maxRetries: 5 });
    },
  };
}

function projectOf(ask: Served["ask"], name: string): ServedProject {
  const agents = `/projects/${name}/agents`;
  const path = `${agents}/${name}`;
  const agent = async () => (await ask("GET", path)).json["agent"] as Record<string, unknown>;
  return {
    agent,
    create: (more) => ask("POST", agents, { name, task: "Look around.", ...more }),
    input: (text) => ask("POST", `${path}/input`, { text }),
    said: async () => {
      const { json } = await ask("GET", `${path}/messages/last`);
      return (json["lastAssistantMessage"] as { text: string } | null)?.text;
    },
    untilIdle: async () => {
      const rests = ["idle", "error", "exited"];
      await until(`${name} to rest`, async () => rests.includes(String((await agent())["status"])), 60_000);
      expect(await agent()).toMatchObject({ status: "idle" });
    },
    end: async () => {
      expect(await ask("DELETE", `/projects/${name}`)).toMatchObject({ status: 204 });
    },
  };
}
