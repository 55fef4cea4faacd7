import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { providerNames, runWays } from "../sessions/session.ts";
import { packageRoot } from "../shared/paths.ts";
import { findAgentCli } from "../testing/agent-clis.ts";
import { build } from "../testing/crash.ts";
import { type ModelRequest, type ModelServer, openModelServer, type Reply } from "../testing/model-server.ts";
import { asList, asRecord, type ModelProtocol } from "../testing/model-server-reply.ts";
import { type Served, serveSessions } from "../testing/served.ts";
import { openSmall, type SmallHarness } from "../testing/small.ts";
import { treesConfig } from "../testing/trees.ts";
import { until } from "../testing/until.ts";

/*
 * A session on a stack, all of it: a stack that was launched, the real API, the real coding agents; only the model is
 * scripted. What a session sees comes back in what it says, and what it was told in what the model was asked.
 */

const stack = 31;
const notLaunched = 32;

/** Says where it runs and what it sees of the stack's variables. */
const look = 'echo "<$(pwd -P)|$AGENT_ID|$PGDATABASE|$PORT>"';
const seen = /<\/[^|<>]+(?:\|\w+){3}>/;

/** How a coding agent calls its tool for shell commands, by the protocol that it speaks with its model. */
const shells: Record<ModelProtocol, (command: string) => Reply> = {
  messages: (command) => ({ kind: "tool", name: "Bash", input: { command, description: "A look around" } }),
  responses: (cmd) => ({ kind: "tool", name: "exec_command", input: { cmd } }),
  chat: (command) => ({ kind: "tool", name: "bash", input: { command, description: "A look around" } }),
};

/** What of a request came in the coding agent's own channel for instructions, and all the rest of it. */
function channelOf({ protocol, body }: ModelRequest): { instructions: string; rest: string } {
  const { system, instructions, messages, input, ...more } = asRecord(body);
  const said = [...asList(messages), ...asList(input)];
  const isInstruction = (one: unknown): boolean => ["system", "developer"].includes(String(asRecord(one)["role"]));
  const [told, rest] =
    protocol === "messages"
      ? [[system], said]
      : [[instructions, ...said.filter(isInstruction)], said.filter((one) => !isInstruction(one))];
  return { instructions: JSON.stringify(told), rest: JSON.stringify([rest, more]) };
}

let here: SmallHarness;
let model: ModelServer;
let served: Served;
let repo: string;
/** What the shell tool is told next. */
let command: string;

beforeAll(async () => {
  await build();
  here = await openSmall();
  repo = await here.project();
  await here.ok(repo, "launch", String(stack));
  model = await openModelServer({
    script: ({ protocol, body, hasToolResult }) =>
      hasToolResult
        ? { kind: "text", text: `It says ${seen.exec(JSON.stringify(body))?.[0]}` }
        : shells[protocol](command),
  });
  const one = { modelUrl: model.url, modelKey: "scripted" };
  const providers = Object.fromEntries(providerNames.map((name) => [name, { ...one, command: findAgentCli(name) }]));
  const settings = { runIn: "headless", permissions: "all", providers };
  await writeFile(join(here.home, "sessions.json"), JSON.stringify(settings), { mode: 0o600 });
  served = await serveSessions(here);
});
beforeEach(() => {
  command = look;
});
afterEach(async () => {
  expect(model.failures).toEqual([]);
  expect(await served.running()).toEqual([]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await here[Symbol.asyncDispose]();
});

describe.each(providerNames)("%s", (provider) => {
  describe.skipIf(findAgentCli(provider) === undefined)(`with the real ${provider}`, () => {
    test.each(runWays)("%s, works in the stack's directory with its variables and instructions", async (runIn) => {
      const before = model.turns().length;
      // One session names the stack itself; the other's project does.
      const [ofProject, ofAgent] = runIn === "tmux" ? [{ stack }, {}] : [{}, { stack }];
      const project = await served.project(`${provider}-${runIn}`, ofProject);
      const created = await project.create({ provider, runIn, model: "scripted", ...ofAgent });
      expect(created).toMatchObject({ status: 201, json: { agent: { stack, cwd: repo } } });
      await project.untilIdle();
      expect(await project.said()).toBe(`It says <${repo}|${stack}|agent_${stack}|${8000 + stack * 10}>`);
      const [first] = model.turns().slice(before);
      if (first === undefined) throw new Error("The model was not asked.");
      const { instructions, rest } = channelOf(first);
      for (const line of [`# You are agent ${stack} of small`, `agent-cli ${stack} psql`]) {
        expect(instructions).toContain(line);
        expect(rest).not.toContain(line);
      }
      await project.end();
    });
  });
});

const [anyone] = providerNames.filter((name) => findAgentCli(name) !== undefined);

describe.skipIf(anyone === undefined)(`with the real ${anyone}`, () => {
  const agent = { provider: anyone, model: "scripted" };

  test("a stack that is not launched is a conflict, whoever names it", async () => {
    const message = expect.stringContaining(`The stack of agent ${notLaunched} is not launched.`);
    const refusal = { status: 409, json: { error: "STACK_NOT_LAUNCHED", message } };
    const plain = await served.project("plain");
    expect(await plain.create({ ...agent, stack: notLaunched })).toMatchObject(refusal);
    await plain.end();
    const named = await served.project("named", { stack: notLaunched });
    expect(await named.create(agent)).toMatchObject(refusal);
    // The session's own counts more.
    expect(await named.create({ ...agent, stack })).toMatchObject({ status: 201 });
    await named.untilIdle();
    expect(await named.said()).toContain(`|agent_${stack}|`);
    await named.end();
  });

  test("the commands that the instructions name work in it", async () => {
    const agentCli = join(packageRoot(), "dist", "bin", "agent-cli.js");
    const psql = `node '${agentCli}' ${stack} psql 'select text from notes'`;
    command = `echo "<$(pwd -P)|$(${psql} | tail -n 1)|$AGENT_ID|x>"`;
    const project = await served.project("commands");
    expect(await project.create({ ...agent, stack })).toMatchObject({ status: 201 });
    await project.untilIdle();
    expect(await project.said()).toBe(`It says <${repo}|seed|${stack}|x>`);
    await project.end();
  });

  test("a teardown does not take a stack from under a session that works; afterwards it is told nothing more", async () => {
    const own = 33;
    await writeFile(join(repo, "agent-harness.yml"), treesConfig(join(here.home, "trees")));
    await here.ok(repo, "launch", String(own), "--worktree");
    const { workdir } = await here.ledger(own);
    const began = join(here.home, "began");
    const goOn = join(here.home, "go-on");
    command = `touch '${began}'; while [ ! -e '${goOn}' ]; do sleep 0.05; done; ${look}`;
    const project = await served.project("working");
    expect(await project.create({ ...agent, stack: own })).toMatchObject({ status: 201 });
    await until("the tool to run", () => existsSync(began), 60_000);
    expect(await here.refused(repo, "teardown", String(own))).toMatchObject({
      exitCode: 5,
      code: "STACK_IN_USE",
      message: `The session working works on the stack of agent ${own}.`,
    });
    await writeFile(goOn, "");
    await project.untilIdle();
    expect(await project.said()).toContain(`<${workdir}|${own}|`);
    await here.ok(repo, "teardown", String(own));
    expect(await here.left(own, repo)).toEqual([]);
    const message = `The stack of agent ${own}, on which the session working was started in ${workdir}, is gone.`;
    expect(await project.input("And again.")).toMatchObject({
      status: 409,
      json: { error: "STACK_NOT_LAUNCHED", message: expect.stringContaining(message) },
    });
    expect(await project.agent()).toMatchObject({ status: "idle" });
    await project.end();
  });
});
