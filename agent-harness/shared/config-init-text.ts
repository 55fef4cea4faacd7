import type { CheckGuess, Detected, Guess, ProcessGuess } from "./config-detect.ts";

/** A process with the name of the port it was given, if it listens, and what it was guessed from. */
export interface PlacedProcess extends ProcessGuess {
  port: string | undefined;
  from: string;
}

/** All that goes into a first project config. */
export interface InitialParts extends Omit<Detected, "processes" | "found"> {
  name: Guess<string>;
  ports: Record<string, number>;
  processes: PlacedProcess[];
}

const schemaLine = "# yaml-language-server: $schema=node_modules/agent-harness/templates/agent-harness.schema.json";

/** The text of a first project config, with a comment on every guess and on what else can stand there. */
export function renderConfig(parts: InitialParts): string {
  const blocks = [
    [
      schemaLine,
      "# What agent-harness needs to know of this project. `agent-harness config` prints every value in force and where it",
      "# comes from; docs/config.md of agent-harness explains every key. Guesses are marked: check them, then drop the mark.",
    ],
    [comment(`guessed from ${parts.name.from}`), `name: ${text(parts.name.value)}`],
    portLines(parts.ports),
    databaseLines(parts.databases),
    [
      "# Variables of every process, over those that each stack has anyway (PGDATABASE, PORT, SITE_URL, S3_BUCKET …).",
      "# env:",
      "#   APP_SECRET: agent-{{id}}-secret",
    ],
    processLines(parts.processes),
    verifyLines(parts.checks),
  ];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function portLines(ports: Record<string, number>): string[] {
  return [
    "# Base of each port: agent n gets base + n * 10.",
    "ports:",
    ...Object.entries(ports).map(([name, base]) => `  ${text(name)}: ${base}`),
  ];
}

function databaseLines(databases: Detected["databases"]): string[] {
  const head = ["# Built once as the template database, then cloned for every agent."];
  const later = [
    "  # What each agent's own copy needs after it was cloned: secrets, references to itself.",
    "  # afterClone:",
    "  #   - sql: UPDATE settings SET base_url = 'http://localhost'",
  ];
  if (databases.length === 0) {
    const lines = ["database:", "  inputs: [migrations/**]", "  build:", "    - npm run migrate"];
    return [...head, "# No migrations were found. For example:", ...lines.map((line) => `# ${line}`)];
  }
  const inputs = databases.flatMap(({ value, from }) => [
    `    ${comment(`guessed from ${from}`)}`,
    ...value.inputs.map((glob) => `    - ${text(glob)}`),
  ]);
  const steps = databases.flatMap(({ value, from }) => value.build.map((words) => stepLines(words, value.cwd, from)));
  const build =
    steps.length > 0
      ? ["  build:", ...steps.flat()]
      : ["  # What applies these files could not be told. For example:", "  # build:", "  #   - npm run migrate"];
  return [
    ...head,
    "database:",
    "  # The files whose content decides when it is built again.",
    "  inputs:",
    ...inputs,
    "  # Run with PGDATABASE set to the database that is being built.",
    ...build,
    ...later,
  ];
}

function processLines(processes: PlacedProcess[]): string[] {
  if (processes.length === 0) {
    return [
      "# What runs in every stack. Nothing that can be started was found. For example:",
      "# processes:",
      "#   api:",
      "#     command: node server.js",
      "#     port: api",
      "#     health: { path: /health }",
      "processes: {}",
    ];
  }
  return ["# What runs in every stack.", "processes:", ...processes.flatMap(oneProcess)];
}

function oneProcess({ name, command, cwd, port, role, from }: PlacedProcess): string[] {
  // Every process names its own port, whatever a front end's default in `command` was.
  const words = command.map((word) =>
    port === undefined ? word : word.replaceAll("{{ports.frontend}}", `{{ports.${port}}}`),
  );
  const listens = [
    `    port: ${text(port ?? "")}`,
    "    # A path that answers 200 when it is ready; without one it must only stay up for a moment.",
    `    # health: { path: ${role === "frontend" ? "/" : "/health"} }`,
    ...(role === "server" ? ["    env:", `      PORT: ${text(`{{ports.${port}}}`)}`] : []),
  ];
  return [
    `  ${comment(`guessed from ${from}`)}`,
    `  ${text(name)}:`,
    `    command: ${list(words)}`,
    ...(cwd === "." ? [] : [`    cwd: ${text(cwd)}`]),
    ...(port === undefined ? [] : listens),
  ];
}

function verifyLines(checks: Guess<CheckGuess>[]): string[] {
  const head = "# How an agent proves its work: stages one after the other, the commands of a stage in parallel.";
  if (checks.length === 0) {
    const example = ["verify:", "  stages:", "    - name: test-unit", "      commands:", "        - npm test"];
    return [head, "# No script for this was found. For example:", ...example.map((line) => `# ${line}`)];
  }
  const stages = ["typecheck", "lint", "test-unit", "build"] as const;
  const lines = stages.flatMap((stage) => {
    const commands = checks.filter(({ value }) => value.stage === stage);
    if (commands.length === 0) return [];
    return [
      `    - name: ${stage}`,
      ...(stage === "build" ? ["      # Only with --full.", "      full: true"] : []),
      "      commands:",
      ...commands.flatMap(({ value, from }) => stepLines(value.command, value.cwd, from, "    ")),
    ];
  });
  return [
    head,
    "verify:",
    "  stages:",
    ...lines,
    "    # - name: smoke",
    "    #   full: true",
    '    #   commands: [{ http: "{{urls.api}}/health" }]',
  ];
}

/** One entry of a list of commands, with the folder where it is not the project's own. */
function stepLines(words: string[], cwd: string, from: string, indent = ""): string[] {
  const mark = `${indent}    ${comment(`guessed from ${from}`)}`;
  if (cwd === ".") return [mark, `${indent}    - ${list(words)}`];
  return [mark, `${indent}    - run: ${list(words)}`, `${indent}      cwd: ${text(cwd)}`];
}

/** A command: one line where its words need no quotes, else a list. */
function list(words: string[]): string {
  const plain = words.every((word) => /^(?:[\w./:@%+,=-]|\{\{[\w.]+\}\})+$/.test(word));
  if (plain && words.length > 0) return text(words.join(" "));
  return `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;
}

/** A value as YAML: bare where that can only be text, else in double quotes, which YAML reads as JSON does. */
function text(value: string): string {
  const bare = /^(?:[A-Za-z]|\.?\/)[\w./@+{}*:=, -]*$/.test(value) && !/: |:$|\s$|^(?:true|false|null)$/i.test(value);
  return bare ? value : JSON.stringify(value);
}

/** A comment must stay on its line, whatever a file or script is called. */
const comment = (words: string): string => `# ${words.replaceAll(/[\p{Cc}\u2028\u2029\ufeff]+/gu, " ")}`;
