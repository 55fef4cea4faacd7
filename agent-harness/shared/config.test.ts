import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { refused, useConfigFolder } from "../testing/config-folder.ts";
import { findConfig, loadConfig } from "./config.ts";

const { root, plant, problems } = useConfigFolder();

describe("finding the file", () => {
  test("upwards, .yml before .yaml; a name given wins over AGENT_HARNESS_CONFIG, which wins over both", async () => {
    await plant({ "agent-harness.yaml": "", "a/b/c/x": "", "other/my.yml": "", "third/agent-harness.yml": "" });
    const cwd = join(root(), "a/b/c");
    expect(await findConfig({ cwd, env: {} })).toBe(join(root(), "agent-harness.yaml"));
    await plant({ "agent-harness.yml": "" });
    expect(await findConfig({ cwd, env: {} })).toBe(join(root(), "agent-harness.yml"));
    const env = { AGENT_HARNESS_CONFIG: "../../../other/my.yml" };
    expect(await findConfig({ cwd, env })).toBe(join(root(), "other/my.yml"));
    expect(await findConfig({ cwd: root(), env, explicit: "third" })).toBe(join(root(), "third/agent-harness.yml"));
  });

  test("none: says how to write one, and names those below", async () => {
    await plant({ "x/y": "" });
    const none = await refused(findConfig({ cwd: root(), env: {} }));
    expect(none.code).toBe("CONFIG_NOT_FOUND");
    expect(none.hint).toContain("agent-harness init");
    await plant({
      "examples/guestbook/agent-harness.yml": "",
      "node_modules/x/agent-harness.yml": "",
      "1/2/3/4/agent-harness.yml": "",
      "z/agent-harness.yaml": "",
    });
    const below = await refused(findConfig({ cwd: root(), env: {} }));
    expect(below.hint).toContain("--config z/agent-harness.yaml or --config examples/guestbook/agent-harness.yml.");
  });

  test("a name that leads nowhere says which name", async () => {
    const explicit = await refused(findConfig({ cwd: root(), env: {}, explicit: "nope.yml" }));
    expect(explicit.message).toBe(`${join(root(), "nope.yml")}, named by --config, does not exist.`);
    const chosen = await refused(findConfig({ cwd: root(), env: { AGENT_HARNESS_CONFIG: "." } }));
    expect(chosen.message).toContain("named by AGENT_HARNESS_CONFIG, holds no agent-harness.yml");
  });
});

describe("a config that is in order", () => {
  test("an empty file is every default", async () => {
    await plant({ "My App/agent-harness.yml": "# nothing yet\n" });
    const { name, folder, config } = await loadConfig({ cwd: join(root(), "My App"), env: {} });
    expect({ name, folder }).toEqual({ name: "my-app", folder: join(root(), "My App") });
    expect(config.ports).toEqual({ frontend: 3000, api: 8000, scheduler: 8001, debug: 9200 });
    expect(config.database).toMatchObject({ pool: 2, strategy: "auto", build: [] });
    expect(config.settleMs).toBe(1500);
  });

  test("overrides: process over file over config, empty is none, and what the process has is in env", async () => {
    await plant({
      "agent-harness.yml": "infra:\n  driver: embedded\ndatabase: {pool: 5}\n",
      ".env.agent-harness":
        "# cloud\nAGENT_HARNESS_POOL=7\nexport AGENT_HARNESS_SETTLE_MS=10\nAGENT_DB_PORT='25432'\nAGENT_HARNESS_INFRA_DRIVER=\n",
    });
    const loaded = await loadConfig({ cwd: root(), env: { AGENT_HARNESS_POOL: "9", AGENT_MINIO_PORT: "29000" } });
    expect(loaded.config.database.pool).toBe(9);
    expect(loaded.config.settleMs).toBe(10);
    expect(loaded.config.infra.driver).toBe("embedded");
    expect(loaded.env).toMatchObject({ AGENT_DB_PORT: "25432", AGENT_MINIO_PORT: "29000", AGENT_HARNESS_POOL: "9" });
    const rows = new Map(loaded.explain().map(({ key, value, source }) => [key, [value, source]]));
    expect(rows.get("database.pool")).toEqual([9, "env AGENT_HARNESS_POOL"]);
    expect(rows.get("settleMs")).toEqual([10, ".env.agent-harness:3 (AGENT_HARNESS_SETTLE_MS)"]);
    expect(rows.get("infra.driver")).toEqual(["embedded", "agent-harness.yml:2"]);
    expect(rows.get("infra.postgres.durability")).toEqual(["safe", "default"]);
    expect(rows.get("name")).toEqual([loaded.name, "default"]);
    expect(rows.get("ports.api")).toEqual([8000, "default"]);
  });

  test("explain masks secrets wherever they stand", async () => {
    await plant({
      "agent-harness.yml": [
        "infra:",
        "  postgres: {url: 'postgres://u:hunter2@h/d?sslpassword=hunter2'}",
        "  s3: {url: http://h, accessKey: me, secretKey: hunter2}",
        "env: {APP_SECRET: hunter2, API_KEY: hunter2, URL: 'redis://:hunter2@h', PLAIN: seen}",
        "database:",
        "  build: [[sh, -c, 'psql postgres://u:hunter2@h'], npm run seed]",
        "processes:",
        "  api: {command: node x, env: {GITHUB_TOKEN: hunter2, DB_PASSWORD: null}}",
      ].join("\n"),
    });
    const rows = (await loadConfig({ cwd: root(), env: { AGENT_HARNESS_S3_SECRET_KEY: "hunter2" } })).explain();
    expect(JSON.stringify(rows)).not.toContain("hunter2");
    const values = new Map(rows.map(({ key, value }) => [key, value]));
    expect(values.get("infra.postgres.url")).toBe("postgres://u:••••@h/d?sslpassword=••••");
    expect(values.get("env.PLAIN")).toBe("seen");
    expect(values.get("env.APP_SECRET")).toBe("••••");
    expect(values.get("database.build[1]")).toBe("npm run seed");
    expect(values.get("processes.api.env.DB_PASSWORD")).toBeNull();
    expect(rows.find(({ key }) => key === "database.build[0]")?.source).toBe("agent-harness.yml:6");
  });

  test("a path that a config or stack names may use anchors", async () => {
    await plant({ "agent-harness.yml": "env: &e {A: 1}\nprocesses:\n  api: {command: node x, env: *e}\n" });
    expect((await loadConfig({ cwd: root(), env: {} })).config.processes["api"]?.env).toEqual({ A: 1 });
  });
});

describe("what the file itself can have wrong", () => {
  test.each([
    ["syntax", "a: [1\nb: 2\n", "agent-harness.yml:2: "],
    ["a key twice", "env:\n  A: 1\n  A: 2\n", "agent-harness.yml:3: the same key stands here a second time"],
    ["a list at the root", "- a\n", "agent-harness.yml:1: the file must be a mapping"],
    ["text at the root", "hello\n", "agent-harness.yml:1: the file must be a mapping"],
    ["two documents", "a: 1\n---\nb: 2\n", "agent-harness.yml:2: "],
    ["a tag nobody knows", "env:\n  A: !include x\n", "agent-harness.yml:2: "],
    ["an alias to nothing", "env:\n  A: *nope\n", "agent-harness.yml:2: "],
  ])("%s", async (_what, text, says) => {
    expect((await problems(text))[0]).toContain(says);
  });

  test("aliases that stand for a billion values are refused before they are made", async () => {
    const levels = Array.from(
      { length: 10 },
      (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`,
    );
    expect(await problems(["l0: &l0 [x]", ...levels].join("\n"))).toEqual([
      expect.stringContaining("agent-harness.yml:1: cannot be read: Excessive alias count"),
    ]);
  });
});

describe("what the schema finds", () => {
  test.each([
    ["proceses: {}", "1: proceses: unknown key `proceses`; did you mean `processes`?"],
    ["zebra: {}", "1: zebra: unknown key `zebra`; allowed: `$schema`, `name`, `infra`, `ports`,"],
    [
      "processes:\n  api:\n    command: x\n    depends_on: []",
      "4: processes.api.depends_on: unknown key `depends_on`; did you mean `dependsOn`?",
    ],
    ["database:\n  pol: 1", "2: database.pol: unknown key `pol`; did you mean `pool`?"],
    ["infra: {driver: embeded}", "1: infra.driver: is `embeded`; did you mean `embedded`?"],
    ["infra: {driver: docker}", "1: infra.driver: is `docker`; allowed: `auto`, `compose`, `embedded`"],
    ["processes:\n  api: {cwd: x}", "2: processes.api.command: is missing"],
    ["processes:\n  api:", "2: processes.api: must be a mapping, not empty"],
    ["processes: [a]", "1: processes: must be a mapping, not a list"],
    ["processes:\n  API: {command: x}", "2: processes.API: a process name is lower-case letters"],
    ["processes:\n  api: {command: {a: 1}}", "2: processes.api.command: must be text or a list, not a mapping"],
    ["processes:\n  api: {command: []}", "2: processes.api.command: must not be empty"],
    [
      "processes:\n  api:\n    command: x\n    health: {path: ready}",
      "4: processes.api.health.path: must begin with `/`",
    ],
    ["ports: {api: 80}", "1: ports.api: is `80`; the smallest allowed is 1024"],
    ["infra: {s3: {secretKey: 1234}}", "1: infra.s3.secretKey: must be text, not `••••`"],
    ["ports: {api: eighty}", "1: ports.api: must be a number, not `eighty`"],
    ["ports: {api: 1500.5}", "1: ports.api: must be a whole number, not `1500.5`"],
    ["ports: {api: 65000}", "1: ports.api: is `65000`; the largest allowed is 64000"],
    ["env: {1A: x}", "1: env.1A: a variable name is letters"],
    ["env: {A: [1]}", "1: env.A: must be text or a number or true or false or null, not a list"],
    [
      "database:\n  afterClone:\n    - sqll: x",
      "3: database.afterClone[0].sqll: unknown key `sqll`; did you mean `sql`?",
    ],
    ["database:\n  afterClone:\n    - run: 5", "3: database.afterClone[0].run: must be text or a list, not `5`"],
    [
      "database:\n  build:\n    - npm x\n    - {run: npm y, cdw: a}",
      "4: database.build[1].cdw: unknown key `cdw`; did you mean `cwd`?",
    ],
    ["verify:\n  stages:\n    - name: lint", "3: verify.stages[0].commands: is missing"],
    [
      "verify:\n  stages:\n    - name: lint\n      commands: [{http: x, nme: y}]",
      "4: verify.stages[0].commands[0].nme: unknown key `nme`; did you mean `name`?",
    ],
  ])("%j", async (text, says) => {
    expect((await problems(text)).join("\n")).toContain(`agent-harness.yml:${says}`);
  });

  test("every problem at once, in the order of the file, at most twenty", async () => {
    const many = Array.from({ length: 25 }, (_, n) => `  p${n}: {cmd: x}`).join("\n");
    const lines = await problems(`zzz: 1\nprocesses:\n${many}\n`);
    expect(lines).toHaveLength(21);
    expect(lines[0]).toContain("agent-harness.yml:1: zzz");
    expect(lines[20]).toBe("… and 31 more");
  });
});

describe("what only the whole file shows", () => {
  const api = "processes:\n  api:\n    command: node x\n";
  test.each([
    [`${api}    dependsOn: [apii]`, "4: processes.api.dependsOn[0]: there is no process `apii`; did you mean `api`?"],
    [
      "processes:\n  a: {command: x, dependsOn: [b]}\n  b: {command: x, dependsOn: [c]}\n  c: {command: x, dependsOn: [b]}",
      "3: processes.b.dependsOn: the processes wait for each other: b -> c -> b",
    ],
    [`${api}    dependsOn: [api]`, "4: processes.api.dependsOn: the processes wait for each other: api -> api"],
    [`${api}    port: apo`, "4: processes.api.port: there is no port `apo`; did you mean `api`?"],
    [`${api}    health: {path: /}`, "4: processes.api.health: a health check needs `port`"],
    [
      "processes:\n  a: {command: x, port: api}\n  b: {command: x, port: api}",
      "3: processes.b.port: `api` belongs to the process `a` already",
    ],
    ["ports:\n  a: 8000\n  b: 8010", "3: ports.b: 8010 meets `a` (8000): 8020 would be a of agent 2 and b of agent 1"],
    ["ports:\n  a: 8000\n  b: 7020", "3: ports.b: 7020 meets `a` (8000): 8010 would be a of agent 1 and b of agent 99"],
    ["ports: {a: 8000, b: 8000}", "1: ports.b: 8000 meets `a` (8000): 8010 would be a of agent 1 and b of agent 1"],
    [
      "ports: {db: 15422}",
      "1: ports.db: 15422 gives agent 1 the port 15432, which the infra has (AGENT_DB_PORT moves it)",
    ],
    [
      "processes:\n  a: {command: x, aliases: [b]}\n  b: {command: x}",
      "2: processes.a.aliases[0]: `b` is already the process `b`",
    ],
    [
      "processes:\n  a: {command: x, aliases: [c]}\n  b: {command: x, aliases: [c]}",
      "3: processes.b.aliases[0]: `c` is already an alias of `a`",
    ],
    ["env:\n  watch: 1", "2: env.watch: `watch` is a word of PM2"],
    [`${api}    env:\n      AGENT_ID: 4`, "5: processes.api.env.AGENT_ID: `AGENT_ID` is set by agent-harness itself"],
    [`${api}    cwd: ../other`, "4: processes.api.cwd: `../other` leads out of the project's folder"],
    [`${api}    cwd: /etc`, "4: processes.api.cwd: `/etc` leads out of the project's folder"],
    ["instructions: a/../../x.hbs", "1: instructions: `a/../../x.hbs` leads out"],
    ["database: {inputs: [../x]}", "1: database.inputs[0]: `../x` leads out"],
    ["database:\n  build:\n    - {run: x, cwd: ..}", "3: database.build[0].cwd: `..` leads out"],
    ["processes:\n  api:\n    command: a && b", "3: processes.api.command: `a && b` has `&` at column 3"],
    ["database:\n  build:\n    - npm 'x", "3: database.build[0]: `npm 'x` has an opening '"],
    ["database:\n  afterClone:\n    - run: a | b", "3: database.afterClone[0].run: `a | b` has `|`"],
    [
      "verify:\n  stages:\n    - name: x\n      commands:\n        - echo $HOME",
      "5: verify.stages[0].commands[0]: `echo $HOME` has `$H`",
    ],
    [
      "verify:\n  stages:\n    - {name: x, commands: [a]}\n    - {name: x, commands: [a]}",
      "4: verify.stages[1].name: there is a stage `x` already",
    ],
    ["infra:\n  s3:\n    url: localhost:9000", "3: infra.s3.url: must be a URL that begins with `http://`"],
    ["env:\n  NODE: 1.10", "2: env.NODE: 1.10 is read as the number 1.1; put it in quotes"],
  ])("%j", async (text, says) => {
    const lines = await problems(text);
    expect(lines.join("\n")).toContain(`agent-harness.yml:${says}`);
    expect(lines).toHaveLength(1);
  });

  test("ports ten families wide, and those just far enough apart, do not meet", async () => {
    await plant({ "agent-harness.yml": "ports: {a: 8000, b: 8001, c: 8990, d: 7010, e: 3000}\n" });
    await loadConfig({ cwd: root(), env: {} });
    await plant({ "agent-harness.yml": "ports: {db: 15422}\ninfra: {postgres: {url: 'postgres://h/d'}}\n" });
    await loadConfig({ cwd: root(), env: {} });
    await plant({ "agent-harness.yml": "ports: {db: 15422}\n" });
    await loadConfig({ cwd: root(), env: { AGENT_DB_PORT: "5432" } });
  });
});
