import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type Infra, type MailSummary, openMail, type SqlResult } from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { databaseName, mailAddress } from "../../shared/names.ts";
import { findExecutable } from "../../shared/words.ts";
import { readStackEnv, runQuery, type SlowQuery, slowQueries, stackProcessEnv } from "../../stacks/index.ts";
import { type CommandContext, command } from "../command.ts";
import { table } from "../output.ts";
import { infraOfStack, ledgerOf } from "../stack-command.ts";

/** What a query gave, or how the real psql ended. */
type PsqlResult = Partial<SqlResult> & { exitCode?: number };

export const psql = command<PsqlResult>({
  usage: "psql [query]",
  summary: "run SQL in the agent's own database (also from stdin); without any, the real psql opens",
  run: async ([query], _, context) => {
    const ledger = await ledgerOf(undefined, context);
    const infra = await infraOfStack(ledger, context);
    const text = query ?? (process.stdin.isTTY ? undefined : await readStdin());
    if (text !== undefined && text.trim() !== "") return await runQuery(infra, ledger.id, text);
    return await openPsql(infra, ledger.id, context);
  },
  text: (result, { interactive }) => resultText(result, interactive),
  exitCode: ({ exitCode }) => exitCode ?? 0,
});

function resultText({ fields, rows, command: verb, rowCount }: Partial<SqlResult>, forPeople: boolean): string {
  if (fields === undefined || rows === undefined) return "";
  if (fields.length === 0) return `${verb ?? ""}${rowCount === null || rowCount === undefined ? "" : ` ${rowCount}`}\n`;
  const cells = rows.map((row) => fields.map((field) => row[field]));
  if (forPeople) return `${table(fields, cells)}(${rows.length} rows)\n`;
  const lines = [
    fields,
    ...cells.map((row) =>
      row.map((cell) => (cell === null ? "" : typeof cell === "object" ? JSON.stringify(cell) : String(cell))),
    ),
  ];
  return lines.map((line) => `${line.join("\t")}\n`).join("");
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

async function openPsql(infra: Infra, id: number, context: CommandContext): Promise<PsqlResult> {
  const program = await findExecutable("psql", { cwd: context.cwd, path: (context.env["PATH"] ?? "").split(":") });
  if (program === undefined) {
    throw new HarnessError("PROGRAM_MISSING", "psql is not installed here, and no query was given.", {
      hint: `Give the query: agent-cli ${id} psql "select 1". Or install psql (Debian, Ubuntu: apt-get install postgresql-client).`,
    });
  }
  const { host, port, user, password } = infra.postgres;
  const settings = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: databaseName(id),
  };
  return { exitCode: await runForeground(program, [], context.cwd, { ...definedOnly(context.env), ...settings }) };
}

/** Runs a program with our own terminal and gives its exit code. */
async function runForeground(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
): Promise<number> {
  const child = spawn(program, [...args], { cwd, env, stdio: "inherit" });
  // The terminal sends these to the program too, and it decides what they mean.
  const ignore = (): void => undefined;
  for (const signal of ["SIGINT", "SIGQUIT"] as const) process.on(signal, ignore);
  // These reach us alone: what runs us (a time limit, say) means the program.
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, pass);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const signal of ["SIGINT", "SIGQUIT"] as const) process.off(signal, ignore);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.off(signal, pass);
  }
}

const definedOnly = (env: CommandContext["env"]): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));

export const slowQueriesCommand = command<SlowQuery[]>({
  usage: "slow-queries",
  summary: "the ten slowest queries of this stack's database",
  run: async (_, __, context) => {
    const ledger = await ledgerOf(undefined, context);
    return await slowQueries(await infraOfStack(ledger, context), ledger.id);
  },
  text: (all) =>
    all.length === 0
      ? "No query has run in this database yet.\n"
      : table(
          ["mean ms", "calls", "total ms", "rows", "query"],
          all.map((one) => [one.meanMs, one.calls, one.totalMs, one.rows, one.query.slice(0, 120)]),
        ),
});

export const exec = command<number>({
  usage: "exec <command...>",
  summary: "run a program with the stack's environment, in its working directory; its exit code is ours",
  ownJson: true,
  run: async (words, _, context) => {
    const [program = "", ...args] = words.flatMap((word) => word ?? []);
    const ledger = await ledgerOf(undefined, context);
    const env = await stackProcessEnv(ledger);
    const path = (env["PATH"] ?? "").split(":");
    const found = program === "node" ? process.execPath : await findExecutable(program, { cwd: ledger.workdir, path });
    if (found === undefined) {
      throw new HarnessError("EXECUTABLE_NOT_FOUND", `There is no program "${program}" to run in ${ledger.workdir}.`, {
        hint: "A shell's own words need a shell: agent-cli exec sh -c '…'",
      });
    }
    // A terminal program needs to know its terminal; everything else is the stack's.
    const terminal = context.env["TERM"] === undefined ? {} : { TERM: context.env["TERM"] };
    return await runForeground(found, args, ledger.workdir, { ...env, ...terminal });
  },
  exitCode: (code) => code,
});

export const env = command<Record<string, string>>({
  usage: "env",
  summary: 'the stack\'s variables, as a shell can read them: eval "$(agent-cli 3 env)"',
  run: async (_, __, context) => await readStackEnv(await ledgerOf(undefined, context)),
  text: (all) =>
    Object.entries(all)
      .map(([key, value]) => `export ${key}='${value.replaceAll("'", `'\\''`)}'\n`)
      .join(""),
});

export const mail = command<MailSummary[] | Awaited<ReturnType<ReturnType<typeof openMail>["get"]>>>({
  usage: "mail [message]",
  summary: "the mails that this stack sent, the newest first, or one of them whole",
  run: async ([message], _, context) => {
    const ledger = await ledgerOf(undefined, context);
    const box = openMail((await infraOfStack(ledger, context)).mail);
    return message === undefined ? await box.list({ from: mailAddress(ledger.id) }) : await box.get(message);
  },
  text: (found) => {
    if (!Array.isArray(found)) {
      return `From: ${found.from}\nTo: ${found.to.join(", ")}\nDate: ${found.date}\nSubject: ${found.subject}\n\n${found.text}\n`;
    }
    if (found.length === 0) return "This stack has sent no mail.\n";
    return table(
      ["id", "date", "to", "subject"],
      found.map((one) => [one.id, one.date, one.to.join(", "), one.subject]),
    );
  },
});
