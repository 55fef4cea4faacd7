import { HarnessError } from "../shared/errors.ts";
import type { Ledger, LedgerProcess } from "./ledger.ts";

/** The processes of a stack that a word means: a name or an alias; all of them without a word. */
export function selectProcesses(ledger: Ledger, word?: string): LedgerProcess[] {
  if (word === undefined) return ledger.processes;
  const found = ledger.processes.find((one) => one.process === word || one.name === word || one.aliases.includes(word));
  if (found !== undefined) return [found];
  const names = ledger.processes.flatMap((one) => [one.process, ...one.aliases]);
  throw new HarnessError("PROCESS_UNKNOWN", `Agent ${ledger.id} has no process "${word}".`, {
    hint: names.length === 0 ? `Run: agent-harness launch ${ledger.id}` : `Processes: ${names.join(", ")}.`,
  });
}
