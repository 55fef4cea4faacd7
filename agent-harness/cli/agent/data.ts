import { type MailSummary, openMail } from "../../infra/index.ts";
import { mailAddress } from "../../shared/names.ts";
import { readStackEnv, type SlowQuery, slowQueries } from "../../stacks/index.ts";
import { command } from "../command.ts";
import { table } from "../output.ts";
import { infraOfStack, ledgerOf } from "../stack-command.ts";

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
