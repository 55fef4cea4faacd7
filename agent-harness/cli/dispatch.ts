import { text as readAll } from "node:stream/consumers";
import type { DispatchReport, DispatchRequest, HarnessClient } from "../sessions/index.ts";
import { asHarnessError, errorKinds, type HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { dispatchOptions, givenBaseUrl, givenInputs } from "./dispatch-inputs.ts";
import { errorLines, jsonText } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf } from "./stack-command.ts";
import { untilPrinted } from "./until-printed.ts";
import { usage } from "./usage.ts";

const usualBaseUrl = "http://127.0.0.1:7070/api/v1";

/** What the command ends with; the report is printed whichever it is. */
interface Ended {
  exitCode: number;
}

export const dispatchCommand = command<Ended>({
  usage: "dispatch",
  summary:
    "run a task on one or more coding agents over the API; one JSON report on stdout, exit 1 when it was not met",
  options: [...dispatchOptions, ["--json", "the report is one JSON document anyway"]],
  ownJson: true,
  run: runDispatch,
  exitCode: ({ exitCode }) => exitCode,
});

async function runDispatch(_: unknown, options: Options, context: CommandContext): Promise<Ended> {
  using signals = listenToSignals(context);
  const { interrupted, hurried } = signals;
  // Here, so that no other command waits for it to be loaded.
  const { dispatch, openRunRecord } = await import("../sessions/index.ts");
  const begun = await Promise.race([begin(options, context).catch(asHarnessError), aborted(interrupted)]);
  if (begun === undefined || begun instanceof Error) return await refuse(begun, signals, context);
  const { request, client, paths } = begun;
  const { runId } = request;
  const record = await openRunRecord({ paths, runId, tell: (text) => context.stderr(`${text}\n`) });
  const { openHintReceiver } = await import("./dispatch-receiver.ts");
  await using hints = request.webhook ? await openHintReceiver(record.receiver) : undefined;
  if (hints !== undefined) await record.noteReceiver(hints.address);
  context.stderr(`dispatch ${runId}: ${request.count} × ${request.provider} in ${request.cwd}\n`);
  const { progress } = context;
  const report = await dispatch(request, { client, hints, record, progress, interrupted, hurried });
  context.stdout(jsonText(report));
  context.stderr(lastLines(report));
  await untilPrinted();
  if (isOver(report)) await record.forget();
  if (!hurried.aborted) await hints?.untilPosted(atRest(report), webhookMs);
  return { exitCode: exitCodeOf(report, signals.number()) };
}

/** Whether there is nothing to be taken up: each agent's part has its end, and somebody was told of it. */
const isOver = ({ agents }: DispatchReport): boolean =>
  agents.length > 0 && agents.every(({ outcome }) => outcome !== null);

/** How long webhooks are waited for that are on their way: the server tries one that nobody takes again for hours. */
const webhookMs = 1000;

/** The agents of which a webhook tells. */
const atRest = ({ agents }: DispatchReport): { id: string; deleted: boolean }[] =>
  agents.flatMap(({ id, deleted, completionTs }) =>
    id !== null && (deleted || completionTs !== null) ? [{ id, deleted }] : [],
  );

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));

/** The report of a run that did not begin: its inputs are wrong, or somebody interrupted it while they were read. */
async function refuse(error: HarnessError | undefined, signals: Signals, context: CommandContext): Promise<Ended> {
  const { reportOfRefusal } = await import("../sessions/index.ts");
  const { code, message, hint = null } = error ?? { code: "INTERRUPTED", message: "Interrupted before it began." };
  context.stdout(jsonText(reportOfRefusal({ code, message, hint }, error === undefined)));
  if (error !== undefined) context.stderr(errorLines(error));
  return { exitCode: error === undefined ? 128 + signals.number() : errorKinds[error.kind].exitCode };
}

async function begin(
  options: Options,
  { env, cwd, ...context }: CommandContext,
): Promise<{ request: DispatchRequest; client: HarnessClient; paths: HomePaths }> {
  const { readRequest } = await import("../sessions/index.ts");
  const { openDispatchClient } = await import("./dispatch-client.ts");
  const fromStdin = options["task"] === "-";
  if (fromStdin) context.stderr("reading the task from stdin\n");
  const task = fromStdin ? { task: await readAll(process.stdin) } : {};
  const request = readRequest(givenInputs({ ...options, ...task }, env), cwd);
  const baseUrl = givenBaseUrl(options, env) ?? usualBaseUrl;
  if (!/^https?:\/\//.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw usage(`--base-url (HARNESS_BASE_URL) is no URL: ${baseUrl}`, `Such as: ${usualBaseUrl}`);
  }
  const token = env["HARNESS_BEARER_TOKEN"] || undefined;
  const paths = homeOf({ env, ...context });
  return { request, client: await openDispatchClient({ baseUrl, token, paths }), paths };
}

interface Signals extends Disposable {
  interrupted: AbortSignal;
  hurried: AbortSignal;
  /** The first signal's number; 0 when there was none. */
  number(): number;
}

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const;

/** The first signal ends the run in order, the second one at once; the report is printed either way. */
function listenToSignals({ stderr }: CommandContext): Signals {
  const [interrupted, hurried] = [new AbortController(), new AbortController()];
  let first = 0;
  const take = (signal: NodeJS.Signals): void => {
    if (first !== 0) hurried.abort();
    if (first !== 0) return;
    first = signalNumbers[signal as keyof typeof signalNumbers];
    stderr("ending the agents' turns; once more to leave at once\n");
    interrupted.abort();
  };
  for (const signal of Object.keys(signalNumbers)) process.on(signal, take);
  return {
    interrupted: interrupted.signal,
    hurried: hurried.signal,
    number: () => first,
    [Symbol.dispose]: () => {
      for (const signal of Object.keys(signalNumbers)) process.off(signal, take);
    },
  };
}

function exitCodeOf({ completion }: DispatchReport, signal: number): number {
  if (completion.met) return 0;
  if (completion.reason === "interrupted") return 128 + signal;
  return completion.reason === "timeout" ? errorKinds.timeout.exitCode : errorKinds.failed.exitCode;
}

/** What a person wants to see who does not read the report. */
function lastLines({ completion, agents, errors, timings }: DispatchReport): string {
  const head = `${completion.met ? "✔" : "✖"} ${completion.reason} (${duration(timings.durationMs)})\n`;
  const kept = agents.filter(({ outcome, deleted }) => outcome !== "succeeded" && !deleted);
  const why = completion.met ? [] : errors.filter(({ recovered }) => !recovered);
  return [
    head,
    ...kept.map((one) => `  ${one.id ?? "never created"}: ${one.attachCommand ?? one.reason ?? ""}\n`),
    ...why.map(({ code, message }) => `  ${code}: ${message}\n`),
  ].join("");
}
