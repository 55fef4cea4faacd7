import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import { findAgentCli } from "../testing/agent-clis.ts";
import { build } from "../testing/crash.ts";
import { type ModelServer, openModelServer, type Reply, type Script } from "../testing/model-server.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSessionsTrial, type SessionsTrial, type TrialDaemon } from "../testing/sessions-trial.ts";
import { gate, openGate, sleeper, sleeperPid } from "../testing/tool-process.ts";
import { until } from "../testing/until.ts";
import { everyProvider } from "./providers/index.ts";
import { type ProviderName, providerNames, runWays } from "./session.ts";

/*
 * What every provider has to do, each as far as it declares it: the real program, driven by a scripted model, run by a real
 * keeper under a daemon that is killed.
 */

let postgres: TestPostgres;
beforeAll(async () => {
  await build();
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

/** How each calls its tool for shell commands. */
const shells: Record<ProviderName, (command: string) => Reply> = {
  "claude-code": (command) => ({ kind: "tool", name: "Bash", input: { command, description: "A scripted command" } }),
  codex: (cmd) => ({ kind: "tool", name: "exec_command", input: { cmd } }),
  opencode: (command) => ({ kind: "tool", name: "bash", input: { command, description: "A scripted command" } }),
  pi: (command) => ({ kind: "tool", name: "bash", input: { command } }),
};

/** How each that asks questions of its own calls its tool for that. */
const questionTools: Partial<Record<ProviderName, string>> = {
  "claude-code": "AskUserQuestion",
  codex: "request_user_input",
  opencode: "question",
};
const question = (provider: ProviderName, ...more: object[]): Reply => {
  const options = [
    { label: "Postgres", description: "a server" },
    { label: "SQLite", description: "a file" },
  ];
  const one = { id: "db", header: "Database", question: "Which database?", multiSelect: false, options };
  const name = questionTools[provider];
  if (name === undefined) throw new Error(`${provider} declares that it asks; with which tool is not said here.`);
  return { kind: "tool", name, input: { questions: [one, ...more] } };
};

const text = (said: string): Reply => ({ kind: "text", text: said });
const limitMs = 60_000;
const id = "the-session";

interface Scene extends AsyncDisposable {
  trial: SessionsTrial;
  server: ModelServer;
}

async function open(provider: ProviderName, script: Script): Promise<Scene> {
  const server = await openModelServer({ script });
  const one = { command: findAgentCli(provider), modelUrl: server.url, modelKey: "scripted" };
  const trial = await openSessionsTrial(postgres, { real: true, settings: { providers: { [provider]: one } } });
  return {
    trial,
    server,
    [Symbol.asyncDispose]: async () => {
      await trial[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const lines = (path: string): string[] => (existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : []);
const rests = async (trial: SessionsTrial): Promise<unknown[]> =>
  (await trial.events(id)).filter(({ type }) => type === "agent_terminal_finalized").map(({ data }) => data["status"]);
const untilRests = async (trial: SessionsTrial, daemon: TrialDaemon, ...wanted: string[]): Promise<void> => {
  await until(
    `the rests ${wanted.join(", ")}; ${daemon.stderr()}`,
    async () => (await rests(trial)).length >= wanted.length,
    limitMs,
  );
  const news = (await trial.events(id)).map(({ type, data }) => `${type} ${JSON.stringify(data)}`);
  expect(await rests(trial), `${news.join("\n")}\n${daemon.stderr()}`).toEqual(wanted);
};
const assistant = async (daemon: TrialDaemon): Promise<string[]> =>
  (await daemon.messages("demo", id, { role: "assistant" })).messages.map((message) => message.text).filter(Boolean);
const typesOf = async (trial: SessionsTrial): Promise<string[]> => (await trial.events(id)).map(({ type }) => type);
const leave = async (trial: SessionsTrial, daemon: TrialDaemon): Promise<void> => {
  await daemon.delete("demo", id);
  expect(await trial.running()).toEqual([]);
};

describe.each(providerNames)("%s", (provider) => {
  const command = findAgentCli(provider);
  const { capabilities } = everyProvider().get(provider) ?? { capabilities: undefined };
  const shell = shells[provider];
  const first =
    (line: string): Script =>
    ({ count }) =>
      count === 1 ? shell(line) : text(`Answer ${count}.`);

  describe.skipIf(command === undefined).each(runWays)(
    `with the real ${provider}, %s`,
    { timeout: 180_000 },
    (runIn) => {
      const base = { provider, runIn, name: id, model: "scripted" } as const;

      test("does a task with a tool, and takes more input", async () => {
        await using scene = await open(provider, first("echo ran >> ran.txt"));
        const { trial, server } = scene;
        const daemon = await trial.daemon();
        await daemon.create("demo", { ...base, permissions: "all", task: "Make a file." });
        await untilRests(trial, daemon, "idle");
        await daemon.input("demo", id, "And again.");
        await untilRests(trial, daemon, "idle", "idle");
        expect(lines(join(trial.cwd, "ran.txt"))).toEqual(["ran"]);
        expect(await assistant(daemon)).toEqual(["Answer 2.", "Answer 3."]);
        expect(server.turns()).toHaveLength(3);
        expect(await typesOf(trial)).toEqual(expect.arrayContaining(["tool_use", "tool_result", "output"]));
        const { providerSessionId, providerSessionFile, folder } = await daemon.get("demo", id);
        expect(providerSessionId).toEqual(expect.any(String));
        // opencode keeps its sessions in a database.
        if (provider === "opencode") expect(providerSessionFile).toBeUndefined();
        else expect(readFileSync(providerSessionFile ?? "", "utf8")).toContain("And again.");
        expect(existsSync(join(folder, "journal.jsonl"))).toBe(true);
        await leave(trial, daemon);
      });

      test("goes on in the middle of a tool when the daemon is killed, and the tool runs once", async () => {
        await using scene = await open(provider, first(`echo ran >> ran.txt; ${gate}`));
        const { trial, server } = scene;
        const killed = await trial.daemon();
        await killed.create("demo", { ...base, permissions: "all", task: "Make a file." });
        await until("the tool to run", () => existsSync(join(trial.cwd, "ran.txt")), limitMs);
        await killed.kill();
        openGate(trial.cwd);
        await until("the program to go on alone", () => server.turns().length === 2, limitMs);
        const daemon = await trial.daemon();
        await untilRests(trial, daemon, "idle");
        expect(lines(join(trial.cwd, "ran.txt"))).toEqual(["ran"]);
        expect(await assistant(daemon)).toEqual(["Answer 2."]);
        expect(await typesOf(trial)).not.toContain("agent_exited");
        await leave(trial, daemon);
      });

      test.skipIf(capabilities?.permissions !== true)(
        "can be answered when the daemon was killed while it asked",
        async () => {
          await using scene = await open(provider, first("echo ran >> ran.txt"));
          const { trial } = scene;
          const killed = await trial.daemon();
          await killed.create("demo", { ...base, permissions: "ask", task: "Make a file." });
          const { pending } = await killed.untilStatus(id, "waiting_input");
          expect(pending).toMatchObject({ kind: "permission", title: expect.stringContaining("ran.txt") });
          await killed.kill();
          const daemon = await trial.daemon();
          expect(await daemon.get("demo", id)).toMatchObject({ status: "waiting_input", pending: { id: pending?.id } });
          expect(lines(join(trial.cwd, "ran.txt"))).toEqual([]);
          await daemon.respond("demo", id, pending?.id ?? "", { decision: "allow" });
          await untilRests(trial, daemon, "idle");
          expect(lines(join(trial.cwd, "ran.txt"))).toEqual(["ran"]);
          await leave(trial, daemon);
        },
      );

      test.skipIf(capabilities?.questions !== true)(
        "asks a question of its own, and gets the answer though the daemon was killed meanwhile",
        async () => {
          const asks: Script = ({ count }) => (count === 1 ? question(provider) : text(`Answer ${count}.`));
          await using scene = await open(provider, asks);
          const { trial, server } = scene;
          const killed = await trial.daemon();
          await killed.create("demo", { ...base, permissions: "ask", task: "Ask me." });
          const { pending } = await killed.untilStatus(id, "waiting_input");
          expect(pending).toMatchObject({
            kind: "question",
            title: "Which database?",
            options: [{ id: "Postgres", label: "Postgres" }, { id: "SQLite" }],
          });
          await killed.kill();
          const daemon = await trial.daemon();
          await daemon.respond("demo", id, pending?.id ?? "", { answers: { "Which database?": "SQLite" } });
          await untilRests(trial, daemon, "idle");
          expect(server.turns()).toHaveLength(2);
          // Both were offered, the same number of times; what was chosen is there once more.
          const told = JSON.stringify(server.turns()[1]?.body);
          expect(told.split("SQLite").length).toBeGreaterThan(told.split("Postgres").length);
          expect(await assistant(daemon)).toEqual(["Answer 2."]);
          await expect(
            daemon.respond("demo", id, pending?.id ?? "", { answers: { "Which database?": "Postgres" } }),
          ).rejects.toMatchObject({ code: "PENDING_STALE" });
          await leave(trial, daemon);
        },
      );

      test.skipIf(capabilities?.questions !== true)(
        "asks several questions at once; answers that leave one out, or are for none, are refused",
        async () => {
          const options = ["Kestrel", "Osprey", "Harrier"].map((label) => ({ label, description: `the ${label}` }));
          const several = { multiSelect: true, multiple: true };
          const parts = { id: "parts", header: "Parts", question: "Which parts?", ...several, options };
          const asks: Script = ({ count }) => (count === 1 ? question(provider, parts) : text(`Answer ${count}.`));
          await using scene = await open(provider, asks);
          const { trial, server } = scene;
          const daemon = await trial.daemon();
          await daemon.create("demo", { ...base, permissions: "ask", task: "Ask me." });
          const { pending } = await daemon.untilStatus(id, "waiting_input");
          const { questions: [database, chosen] = [] } = pending ?? {};
          expect(database).toMatchObject({ question: "Which database?", header: "Database", multiSelect: false });
          expect(chosen).toMatchObject({
            question: "Which parts?",
            header: "Parts",
            options: [{ id: "Kestrel" }, {}, {}],
          });
          const respond = (answers: Record<string, string | string[]>) =>
            daemon.respond("demo", id, pending?.id ?? "", { answers });
          for (const answers of [
            {},
            { bogus: "SQLite" },
            { "Which database?": "SQLite" },
            { 1: "SQLite", 3: "Kestrel" },
          ]) {
            await expect(respond(answers)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
          }
          expect((await daemon.get("demo", id)).pending?.id).toBe(pending?.id);
          const isMany = chosen?.multiSelect === true;
          // codex has no question with several answers.
          expect(isMany).toBe(provider !== "codex");
          await respond({
            [database?.id ?? ""]: "SQLite",
            [chosen?.id ?? ""]: isMany ? ["Kestrel", "Harrier"] : "Kestrel",
          });
          await untilRests(trial, daemon, "idle");
          const told = JSON.stringify(server.turns()[1]?.body);
          const times = (label: string): number => told.split(label).length;
          expect(times("SQLite")).toBeGreaterThan(times("Postgres"));
          expect(times("Kestrel")).toBeGreaterThan(times("Osprey"));
          if (isMany) expect(times("Harrier")).toBe(times("Kestrel"));
          await leave(trial, daemon);
        },
      );

      test.skipIf(capabilities?.models !== true)("asks the model that was named, in every turn", async () => {
        await using scene = await open(provider, first("true"));
        const { trial, server } = scene;
        const daemon = await trial.daemon();
        await daemon.create("demo", { ...base, model: "scripted-two", permissions: "all", task: "Go." });
        await untilRests(trial, daemon, "idle");
        await daemon.input("demo", id, "And again.");
        await untilRests(trial, daemon, "idle", "idle");
        const asked = server.turns().map(({ body }) => (body as { model?: unknown }).model);
        expect(asked).toEqual(["scripted-two", "scripted-two", "scripted-two"]);
        await leave(trial, daemon);
      });

      test("stops in the middle of a tool when it is aborted, and can be used", async () => {
        await using scene = await open(provider, first(sleeper));
        const { trial } = scene;
        const daemon = await trial.daemon();
        await daemon.create("demo", { ...base, permissions: "all", task: "Wait." });
        const pid = await until("the tool to run", () => sleeperPid(trial.cwd), limitMs);
        await daemon.abort("demo", id);
        await until("rest", async () => (await rests(trial)).length > 0, limitMs);
        await until("the tool to end", () => !isRunning(pid));
        expect((await daemon.get("demo", id)).status).not.toBe("exited");
        await daemon.input("demo", id, "Still there?");
        await until("the second rest", async () => (await rests(trial)).length > 1, limitMs);
        expect((await assistant(daemon)).at(-1)).toMatch(/^Answer \d\.$/);
        await leave(trial, daemon);
      });

      test("is an error when the model is one, and says why", async () => {
        const failing: Script = () => ({ kind: "error", status: 400, message: "no such model here" });
        await using scene = await open(provider, failing);
        const { trial } = scene;
        const daemon = await trial.daemon();
        await daemon.create("demo", { ...base, permissions: "all", task: "Fail." });
        await untilRests(trial, daemon, "error");
        const errors = (await trial.events(id)).filter(({ type }) => type === "error");
        expect(JSON.stringify(errors)).toContain("no such model here");
        await leave(trial, daemon);
      });

      test.skipIf(capabilities?.resume !== true)("that crashed is gone on with by new input", async () => {
        await using scene = await open(provider, ({ count }) => text(`Answer ${count}.`));
        const { trial, server } = scene;
        const daemon = await trial.daemon();
        await daemon.create("demo", { ...base, permissions: "all", task: "Remember canary 4711." });
        await untilRests(trial, daemon, "idle");
        await trial.crash(id);
        await daemon.untilStatus(id, "exited");
        await daemon.input("demo", id, "What was it?");
        await untilRests(trial, daemon, "idle", "exited", "idle");
        expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("Remember canary 4711.");
        expect(await assistant(daemon)).toEqual(["Answer 1.", "Answer 2."]);
        await leave(trial, daemon);
      });
    },
  );
});
