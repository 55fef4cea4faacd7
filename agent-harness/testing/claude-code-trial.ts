import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { journalRecord } from "../sessions/journal.ts";
import { claudeCode } from "../sessions/providers/claude-code.ts";
import { parseLine } from "../sessions/providers/json.ts";
import type { Update } from "../sessions/session.ts";
import { packageRoot } from "../shared/paths.ts";
import { findAgentCli } from "./agent-clis.ts";
import type { ModelServer } from "./model-server.ts";
import { asRecord } from "./model-server-reply.ts";
import { openTrial, type Trial, type TrialOptions } from "./provider-trial.ts";

/* What the live tests of Claude Code share. */

/** The real program; undefined where it is not installed. */
export const claude = findAgentCli("claude-code");

/** Starts it against a scripted model. */
export const startClaude = async (
  server: ModelServer,
  options: Partial<TrialOptions> & Pick<TrialOptions, "runIn">,
): Promise<Trial> =>
  await openTrial(claudeCode, {
    settings: {
      command: claude ?? "claude",
      extraArgs: [],
      modelUrl: server.url,
      modelKey: "a-key-of-some-length-0123",
    },
    ...options,
  });

/** A call of its shell tool. */
export const bash = (line: string) => ({
  kind: "tool" as const,
  name: "Bash",
  input: { command: line, description: "x" },
});

/** A call of its tool for questions. */
export const question = {
  kind: "tool" as const,
  name: "AskUserQuestion",
  input: {
    questions: [
      {
        question: "Which database?",
        header: "Database",
        multiSelect: false,
        options: [
          { label: "Postgres", description: "a server" },
          { label: "SQLite", description: "a file" },
        ],
      },
    ],
  },
};

/** What was said, one line a message. */
export const texts = (trial: Trial): string[] => trial.messages().map(({ role, text }) => `${role}: ${text}`);

/** Every status that was told, and `pending` where it asked. */
export const statuses = (trial: Trial): string[] =>
  trial.updates.flatMap((one) => (one.type === "status" ? [one.status] : one.type === "pending" ? ["pending"] : []));

/** The status that was told last. */
export const lastStatus = (trial: Trial): Update | undefined => trial.updates.findLast(({ type }) => type === "status");

/** What its driver does not know. */
export const unknown = (trial: Trial): Update[] => trial.updates.filter(({ type }) => type === "unknown");

/** Waits until it has come to rest so many times. */
export const rests = async (trial: Trial, times: number): Promise<void> => {
  await trial.until(`rest ${times}`, () => statuses(trial).filter((one) => one === "idle").length >= times);
};

/** Where recorded journals of Claude Code lie. */
export const fixtureFolder = join(packageRoot(), "agent-harness", "sessions", "fixtures", "claude-code");

/** Keeps a trial's journal as a fixture, when HARNESS_RECORD_FIXTURES is set; without what nobody reads of it. */
export async function keepFixture(trial: Trial, name: string): Promise<void> {
  if (process.env["HARNESS_RECORD_FIXTURES"] === undefined) return;
  const lines = trial
    .journal()
    .split("\n")
    .filter((line) => line !== "")
    .flatMap(shortened);
  await mkdir(fixtureFolder, { recursive: true });
  await writeFile(join(fixtureFolder, `${name}.jsonl`), lines.map((line) => `${line}\n`).join(""));
}

/** Lines of the session log with the program's own prompts and snapshots, which are long and its vendor's. */
const dropped =
  /^\{"type":"(?:api-request|file-history-snapshot)|"attachment":\{"type":"(?!queued_command)|"stop_hook_summary"/;

function shortened(text: string): string[] {
  const record = journalRecord.parse(JSON.parse(text));
  if (record.from === "file") return dropped.test(record.line) ? [] : [statusOnly(record, text)];
  // Where the program is installed is nobody's business.
  if (record.from === "started") return [JSON.stringify({ ...record, argv: ["claude", ...record.argv.slice(1)] })];
  if (record.from !== "stdout") return [text];
  const line = asRecord(JSON.parse(record.line));
  const { request_id: request, response } = asRecord(line["response"]);
  if (request === "initialize" && response !== undefined) {
    return [withLine(record, { ...line, response: { subtype: "success", request_id: request, response: {} } })];
  }
  if (line["subtype"] !== "init") return [text];
  // Lists of every tool, command, skill and agent that there is.
  const kept = Object.entries(line).filter(([key, value]) => !Array.isArray(value) && key !== "messaging_socket_path");
  return [withLine(record, Object.fromEntries(kept))];
}

/** Of the file that says what the program is doing, what is read of it; the rest tells of this machine. */
function statusOnly(record: { path: string; line: string }, text: string): string {
  if (!record.path.endsWith(".json")) return text;
  // Read while it was being written, it is no JSON.
  const { sessionId, status, statusUpdatedAt, waitingFor } = parseLine(record.line) ?? {};
  return withLine(record, { sessionId, status, statusUpdatedAt, waitingFor });
}

const withLine = (record: object, line: object): string => JSON.stringify({ ...record, line: JSON.stringify(line) });
