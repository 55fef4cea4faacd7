import type { Infra, SqlResult } from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { databaseName } from "../../shared/names.ts";
import { findExecutable } from "../../shared/words.ts";
import { execInService, type Ledger, runQuery } from "../../stacks/index.ts";
import { type CommandContext, command } from "../command.ts";
import { table } from "../output.ts";
import { homeOf, infraOfStack, ledgerOf } from "../stack-command.ts";
import { runForeground } from "./foreground.ts";

/** What a query gave, or how the real psql ended. */
type PsqlResult = Partial<SqlResult> & { exitCode?: number };

export const psql = command<PsqlResult>({
  usage: "psql [query]",
  summary:
    "run SQL in the agent's own database (also from stdin); without any, the real psql opens, else that of the database's container",
  run: async ([query], _, context) => {
    const ledger = await ledgerOf(undefined, context);
    const infra = await infraOfStack(ledger, context);
    const text = query ?? (process.stdin.isTTY ? undefined : await readStdin());
    if (text !== undefined && text.trim() !== "") return await runQuery(infra, ledger.id, text);
    return await openPsql(infra, ledger, context);
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

/** The machine's own psql, else that of the database's container. */
async function openPsql(infra: Infra, ledger: Ledger, context: CommandContext): Promise<PsqlResult> {
  const program = await findExecutable("psql", { cwd: context.cwd, path: (context.env["PATH"] ?? "").split(":") });
  if (program === undefined) {
    if (infra.driver !== "embedded" && !infra.postgres.external) {
      return { exitCode: await execInService({ ...context, paths: homeOf(context), ledger }, "postgres", ["psql"]) };
    }
    throw new HarnessError("PROGRAM_MISSING", "psql is not installed here, and no query was given.", {
      hint: `Give the query: agent-cli ${ledger.id} psql "select 1". Or install psql (Debian, Ubuntu: apt-get install postgresql-client).`,
    });
  }
  const { host, port, user, password } = infra.postgres;
  const settings = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: databaseName(ledger.id),
  };
  return { exitCode: await runForeground(program, [], context.cwd, { ...definedOnly(context.env), ...settings }) };
}

const definedOnly = (env: CommandContext["env"]): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
