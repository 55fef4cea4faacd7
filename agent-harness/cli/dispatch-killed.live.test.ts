import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ApiDouble, asked, type DoubleOptions, openApiDouble } from "../testing/api-double.ts";
import { build } from "../testing/crash.ts";
import { type DispatchProgram, startDispatch } from "../testing/dispatch-program.ts";
import { until } from "../testing/until.ts";

/* A dispatch that is killed, at each point where that matters, and taken up again by its id. */

beforeAll(build);

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-dispatch-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const start = (api: ApiDouble, ...argv: string[]): DispatchProgram =>
  startDispatch({
    ...{ api, home, argv: ["--task", "Say hello.", ...argv] },
    env: { TIMEOUTS: '{"spawnTimeoutMs":200,"idleGraceMs":2000}' },
  });

/** A double whose first attempts never begin, and that answers no request like `held` until the dispatch was killed. */
async function openStuck(held: RegExp | undefined, more: DoubleOptions = {}): Promise<Stuck> {
  const created: string[] = [];
  let killed = false;
  const api = await openApiDouble({
    onCreate: ({ id }, double) => {
      created.push(id);
      if (id === "codex-r1-1-2") double.finish(id, "Hello.");
    },
    trouble: ({ route, body }) => (!killed && held?.test(`${route} ${body["name"] ?? ""}`) ? "hang" : undefined),
    ...more,
  });
  const kill = async (first: DispatchProgram): Promise<void> => {
    await first.kill();
    killed = true;
  };
  return Object.assign(api, { created, kill });
}

interface Stuck extends ApiDouble {
  /** Every agent that came to be. */
  created: string[];
  /** Kills it, and answers from then on. */
  kill(first: DispatchProgram): Promise<void>;
}

/** Waits until something new is asked for. */
async function askedAnew(api: ApiDouble, pattern: RegExp, before: number): Promise<void> {
  await until(`${pattern} again`, () => api.requests.slice(before).some(({ route }) => pattern.test(route)));
}

describe("while an agent is started a second time", () => {
  const creation = /^POST .*agents codex-r1-1-2$/;
  const secondAskedFor = (api: ApiDouble): Promise<true> => asked(api, /^POST .*agents$/, 2);
  test.each([
    ["before the first one is deleted", /^DELETE/, (api: ApiDouble) => asked(api, /^DELETE/)],
    ["before the second one is created", creation, secondAskedFor],
    ["after the second one was created", /-1-2 $/, (api: ApiDouble) => asked(api, /^GET .*codex-r1-1-2$/)],
  ])("%s", async (_, held, point) => {
    await using api = await openStuck(held);
    const first = start(api);
    await point(api);
    await api.kill(first);
    const { exitCode, report } = await start(api).ended;
    expect(report.agents).toMatchObject([
      { id: "codex-r1-1-2", attempts: 2, replaces: ["codex-r1-1"], outcome: "succeeded" },
    ]);
    expect(report.errors.every(({ code }) => code === "STUCK_STARTING")).toBe(true);
    expect(exitCode).toBe(0);
    expect(api.created).toEqual(["codex-r1-1", "codex-r1-1-2"]);
    expect([...api.agents.keys()]).toEqual(["codex-r1-1-2"]);
  });

  test("and the server creates the second one only after it was looked for", async () => {
    await using api = await openStuck(creation);
    const first = start(api);
    await secondAskedFor(api);
    await api.kill(first);
    const { route = "", key = "", body } = api.requests.findLast((one) => one.key !== undefined) ?? {};
    const late = asked(api, /^GET .*codex-r1-1-2$/).then(() =>
      fetch(api.url + route.replace("POST ", ""), {
        ...{ method: "POST", headers: { "idempotency-key": key }, body: JSON.stringify(body) },
      }),
    );
    const { report } = await start(api).ended;
    expect((await late).status).toBe(201);
    expect(report.agents).toMatchObject([{ id: "codex-r1-1-2", attempts: 2, outcome: "succeeded" }]);
    expect(api.created).toEqual(["codex-r1-1", "codex-r1-1-2"]);
  });

  test("the first one, when it has begun after all, is not deleted", async () => {
    await using api = await openStuck(/^DELETE/);
    const first = start(api);
    await asked(api, /^DELETE/);
    await api.kill(first);
    api.finish("codex-r1-1", "Slow.");
    const { report } = await start(api).ended;
    expect(report.agents).toMatchObject([{ id: "codex-r1-1", attempts: 1, replaces: [], outcome: "succeeded" }]);
    expect(report.messages[0]?.text).toBe("Slow.");
    expect(api.routes(/^DELETE/)).toHaveLength(1);
    expect(api.created).toEqual(["codex-r1-1"]);
  });
});

describe("while an agent works", () => {
  const openWorking = () => openStuck(undefined, { onCreate: ({ id }, double) => double.set(id, "processing") });

  test("it goes on with the agents that it had started", async () => {
    await using api = await openWorking();
    const first = start(api);
    await asked(api, /GET .*codex-r1-1$/);
    await api.kill(first);
    const seen = api.requests.length;
    const second = start(api);
    await askedAnew(api, /GET .*codex-r1-1$/, seen);
    api.finish("codex-r1-1", "Done once.");
    const { exitCode, report } = await second.ended;
    expect(exitCode).toBe(0);
    expect(report.messages).toMatchObject([{ agentId: "codex-r1-1", text: "Done once." }]);
    expect(api.agents.size).toBe(1);
    expect(await readdir(join(home, "dispatch"))).toEqual([]);
  });

  test.each([
    ["its agents", (api: ApiDouble) => api.agents.clear()],
    [
      "its project",
      (api: ApiDouble) => {
        api.agents.clear();
        api.projects.clear();
      },
    ],
  ])("and somebody deletes %s meanwhile: the task is not run again", async (_, remove) => {
    await using api = await openWorking();
    const first = start(api, "--parallel", "2");
    await Promise.all([asked(api, /GET .*codex-r1-1$/), asked(api, /GET .*codex-r1-2$/)]);
    await api.kill(first);
    api.finish("codex-r1-1", "Done.");
    remove(api);
    const created = api.routes(/^POST .*agents$/).length;
    const { exitCode, report } = await start(api, "--parallel", "2").ended;
    expect(exitCode).toBe(1);
    expect(report.agents).toMatchObject([
      { id: "codex-r1-1", attempts: 1, outcome: "failed" },
      { id: "codex-r1-2", attempts: 1, outcome: "failed" },
    ]);
    expect(report.agents[0]?.reason).toContain("--run-id");
    expect(api.routes(/^POST .*agents$/)).toHaveLength(created);
  });

  test("webhooks come to where they were to go", async () => {
    await using api = await openWorking();
    const first = start(api, "--webhook");
    await asked(api, /GET .*codex-r1-1$/);
    await api.kill(first);
    const [record] = await readdir(join(home, "dispatch"));
    expect((await stat(join(home, "dispatch", record ?? ""))).mode & 0o777).toBe(0o600);
    const seen = api.requests.length;
    const second = start(api, "--webhook");
    await askedAnew(api, /events/, seen);
    const { url = "", token } = api.agents.get("codex-r1-1")?.callback ?? {};
    const body = JSON.stringify({ project: [...api.projects.keys()][0], agentId: "codex-r1-1" });
    const posted = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body });
    expect(posted.status).toBe(204);
    api.finish("codex-r1-1", "Done.");
    expect((await second.ended).report.completion.met).toBe(true);
  });
});
