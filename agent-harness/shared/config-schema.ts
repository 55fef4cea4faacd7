import { z } from "zod";

/**
 * The project config, `agent-harness.yml`. Every description below ends up in the published JSON Schema, which editors
 * show while the file is written; keep them in the words of the reader.
 */

const name = (what: string) =>
  z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/, `a ${what} name is lower-case letters, digits and dashes, beginning with a letter`);

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a variable name is letters, digits and underscores, not beginning with a digit");

const command = z
  .union([z.string().min(1), z.array(z.string()).min(1)])
  .describe(
    "A program and its arguments: a list, or one line split into words (quotes group; nothing else is special).",
  );

const duration = (what: string, value: number) =>
  z.int().min(0).default(value).describe(`${what}, in ms. (Default: ${value})`);

const environment = z
  .record(variable, z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .describe("Environment variables. Values may use {{…}} (docs/config.md); null takes a default away.");

const health = z
  .strictObject({
    path: z.string().startsWith("/").describe("Path that answers 200 when the process is ready."),
    timeoutMs: duration("How long the process may take to answer", 60_000),
  })
  .describe("How to see that the process is ready. Without it, the process must only stay up for the settle window.");

const processSchema = z.strictObject({
  command,
  cwd: z
    .string()
    .default(".")
    .describe("Working directory, from the project's folder. (Default: the project's folder)"),
  port: z.string().optional().describe("The port, by its name under `ports`, that this process listens on."),
  health: health.optional(),
  env: environment.default({}),
  aliases: z.array(name("process")).default([]).describe("Other names for `agent-cli logs` and `restart`."),
  dependsOn: z.array(z.string()).default([]).describe("Processes that must be healthy before this one starts."),
  enabledBy: variable.optional().describe("Starts only when this variable of the stack's env is `true`."),
});

const externalUrl = (what: string, example: string) =>
  z
    .string()
    .optional()
    .describe(`Address of a ${what} that exists already, such as ${example}: it is used, never started or stopped.`);

const infra = z.strictObject({
  driver: z
    .enum(["auto", "compose", "embedded"])
    .default("auto")
    .describe(
      "How the shared services run: in containers by Docker Compose, or embedded without Docker. `auto` takes compose when a Docker engine answers and has the images or can pull them. (Default: auto)",
    ),
  postgres: z
    .strictObject({
      url: externalUrl("Postgres server", "postgres://user:password@127.0.0.1:5432/postgres"),
      durability: z
        .enum(["safe", "throwaway"])
        .default("safe")
        .describe("`throwaway` turns fsync off: faster, and lost when the machine loses power. (Default: safe)"),
    })
    .prefault({}),
  s3: z
    .strictObject({
      url: externalUrl("server that speaks S3", "http://127.0.0.1:9000"),
      accessKey: z.string().optional().describe("Access key of the server at `url`."),
      secretKey: z.string().optional().describe("Secret key of the server at `url`; better in .env.agent-harness."),
      region: z.string().default("us-east-1").describe("Region told to S3 clients. (Default: us-east-1)"),
    })
    .prefault({}),
  browser: z.strictObject({ url: externalUrl("browser", "ws://127.0.0.1:3000") }).prefault({}),
  mail: z
    .strictObject({
      smtpUrl: externalUrl("mail catcher's SMTP port", "smtp://127.0.0.1:1025"),
      webUrl: externalUrl("mail catcher's web port", "http://127.0.0.1:8025"),
    })
    .prefault({}),
});

const afterClone = z.union([
  z.strictObject({ sql: z.string().min(1).describe("SQL run in the agent's own database.") }),
  z.strictObject({ run: command, cwd: z.string().default(".") }).describe("A command run with the stack's env."),
]);

const database = z.strictObject({
  inputs: z
    .array(z.string())
    .default([])
    .describe("Files (globs, from the project's folder) whose content decides when the template database is rebuilt."),
  build: z
    .array(z.union([command, z.strictObject({ run: command, cwd: z.string().default(".") })]))
    .default([])
    .describe("Commands that fill the template database: migrate, seed. PGDATABASE is the database being built."),
  afterClone: z
    .array(afterClone)
    .default([])
    .describe("What to run in each agent's database after it was cloned: secrets, references to itself."),
  extensions: z
    .array(z.string().regex(/^[a-z_][a-z0-9_-]*$/))
    .default([])
    .describe("Extensions created in the template database, besides pg_stat_statements."),
  pool: z.int().min(0).max(20).default(2).describe("How many clones are kept ready. (Default: 2)"),
  strategy: z
    .enum(["auto", "wal_log", "file_copy", "clone"])
    .default("auto")
    .describe("How the server copies the template database. (Default: auto, probed by `setup`)"),
});

const verifyCommand = z.union([
  command,
  z.strictObject({
    name: z.string().optional(),
    run: command,
    cwd: z.string().default("."),
    changed: z
      .array(z.string())
      .optional()
      .describe(
        "Globs; the changed files that match are appended to the command, which is left out when there are none.",
      ),
    since: z.string().optional().describe("What counts as changed: since this git ref. (Default: HEAD)"),
  }),
  z.strictObject({ name: z.string().optional(), http: z.string().describe("A URL that must answer 200.") }),
]);

const stage = z.strictObject({
  name: name("stage"),
  commands: z.array(verifyCommand).min(1).describe("Run in parallel."),
  full: z.boolean().default(false).describe("Only with --full. (Default: false)"),
  timeoutMs: duration("How long the stage may take", 1_800_000),
  heavy: z
    .boolean()
    .optional()
    .describe(
      "Takes one of the machine's permits, so that the agents' runs take turns. (Default: true for a stage that runs commands)",
    ),
  inputs: z
    .array(z.string())
    .optional()
    .describe(
      "Files (globs) that the result depends on; the same content is not verified twice. (Default: never cached)",
    ),
});

const ports = z
  .record(name("port"), z.int().min(1024).max(64_000))
  .default({ frontend: 3000, api: 8000, scheduler: 8001, debug: 9200 })
  .describe("Base of each port; agent n gets base + n*10. (Default: the seed's four)");

const worktree = z.strictObject({
  root: z
    .string()
    .default("~/worktrees")
    .describe("Folder of the worktrees that `launch --worktree` makes; `~` is your home. (Default: ~/worktrees)"),
  branch: z
    .string()
    .default("agent-{{id}}")
    .describe("Branch of a new worktree, unless the command names one. (Default: agent-{{id}})"),
  install: z
    .array(z.union([command, z.strictObject({ run: command, cwd: z.string().default(".") })]))
    .default([])
    .describe("Commands that make a new worktree ready to run: install, build."),
});

const lengthOfTime = z.string().regex(/^(?:\d{1,6}[smhd])+$/, "a length of time is such as 30m, 4h, 1h30m or 2d");

const lifetime = z.strictObject({
  ttl: lengthOfTime
    .optional()
    .describe(
      "How long a stack stays from its launch; then it is torn down, unless work would be lost. (Default: for ever)",
    ),
  idle: lengthOfTime
    .optional()
    .describe("How long a stack may be unused before its processes are stopped, its data kept. (Default: for ever)"),
});

const snapshots = z.strictObject({
  beforeTeardown: z
    .boolean()
    .default(true)
    .describe("Whether a teardown keeps a stack's data as the snapshot `before-teardown`. (Default: true)"),
  keepDays: z
    .int()
    .min(1)
    .max(3650)
    .default(7)
    .describe("How many days such a snapshot is kept at the least. (Default: 7)"),
});

/** The whole file. Unknown keys are errors. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  name: name("project").optional().describe("The project's name. (Default: the folder's name)"),
  infra: infra.prefault({}).describe("The services that all agents of this machine share."),
  ports,
  database: database.prefault({}).describe("The template database, and what happens to each agent's clone of it."),
  lifetime: lifetime.prefault({}).describe("How long a stack stays, unless its launch says otherwise."),
  snapshots: snapshots.prefault({}).describe("What a teardown keeps of a stack's data."),
  worktree: worktree.prefault({}).describe("The worktrees that `launch --worktree` makes."),
  env: environment.default({}),
  processes: z
    .record(name("process"), processSchema)
    .default({})
    .describe("What runs in every stack, by name: `api`, `frontend`, `worker` …"),
  settleMs: duration("How long a process without a health check must stay up", 1500),
  instructions: z.string().optional().describe("A Handlebars file to render instead of templates/CLAUDE.agent.md.hbs."),
  verify: z
    .strictObject({
      stages: z.array(stage).default([]).describe("Run one after the other; the first that fails ends the run."),
    })
    .prefault({})
    .describe("How an agent proves its work: what `verify` runs."),
});

/** The published JSON Schema of the file as it is written, before defaults are filled in. */
export const configJsonSchema = (): Record<string, unknown> => ({
  title: "agent-harness.yml, the project config of agent-harness",
  ...z.toJSONSchema(configSchema, { io: "input" }),
});

/** The project config as read, with every default filled in. */
export type ProjectConfig = z.output<typeof configSchema>;
export type ProcessConfig = z.output<typeof processSchema>;
export type VerifyCommandConfig = z.output<typeof verifyCommand>;
export type CommandConfig = z.output<typeof command>;
export type AfterCloneConfig = z.output<typeof afterClone>;
export type EnvironmentConfig = z.output<typeof environment>;
export type InfraConfig = z.output<typeof infra>;
