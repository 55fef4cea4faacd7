import { text as readAll } from "node:stream/consumers";
import {
  type DispatchReport,
  type DispatchRequest,
  dispatch,
  dispatchInputs,
  readRequest,
  reportOfRefusal,
  timeoutInputs,
} from "../sessions/index.ts";
import { asHarnessError, errorKinds } from "../shared/errors.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { openDispatchClient } from "./dispatch-client.ts";
import { openHintReceiver } from "./dispatch-receiver.ts";
import { errorLines, jsonText } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf } from "./stack-command.ts";
import { usage } from "./usage.ts";

/** What the command ends with; the report is printed whichever it is. */
interface Dispatched {
  exitCode: number;
}

const usualBaseUrl = "http://127.0.0.1:7070/api/v1";

export const dispatchCommand = command<Dispatched>({
  usage: "dispatch",
  summary:
    "run a task on one or more coding agents over the API; one JSON report on stdout, exit 1 when it was not met",
  options: [
    ...Object.values(dispatchInputs).map(([flag, variable, about]) => [flag, `${about} [${variable}]`] as const),
    ...Object.values(timeoutInputs).map(([flag, key, about]) => [flag, `${about} [TIMEOUTS: ${key}]`] as const),
    ["--webhook", "receive webhooks on a free port of loopback, as hints [WEBHOOK_MODE=enabled]"],
    ["--no-webhook", "receive none [WEBHOOK_MODE=disabled]"],
    [
      "--expects-input [text]",
      "let agents that still work when the time is over go on; with a text, tell them that first",
    ],
    ["--ephemeral", "delete the agents of a run that was met, and the project that it made"],
    ["--force-cleanup", "delete them whatever came of it, failed ones too"],
    ["--json", "said anyway: the report is one JSON document"],
  ],
  ownJson: true,
  run: runDispatch,
  exitCode: ({ exitCode }) => exitCode,
});

async function runDispatch(_: unknown, options: Options, context: CommandContext): Promise<Dispatched> {
  let request: DispatchRequest;
  let client: Awaited<ReturnType<typeof openDispatchClient>>;
  try {
    const task = options["task"] === "-" ? await readAll(process.stdin) : options["task"];
    request = readRequest({ ...options, task }, context.env, context.cwd);
    client = await openClient(options, context);
  } catch (thrown) {
    const error = asHarnessError(thrown);
    context.stdout(jsonText(reportOfRefusal({ code: error.code, message: error.message, hint: error.hint ?? null })));
    context.stderr(errorLines(error));
    return { exitCode: errorKinds[error.kind].exitCode };
  }
  using signals = listenToSignals(context);
  await using hints = request.webhook ? await openHintReceiver() : undefined;
  context.stderr(`dispatch ${request.runId}: ${request.count} × ${request.provider} in ${request.cwd}\n`);
  const { interrupted, hurried } = signals;
  const report = await dispatch(request, { client, hints, progress: context.progress, interrupted, hurried });
  context.stdout(jsonText(report));
  context.stderr(lastLines(report));
  return { exitCode: exitCodeOf(report, signals.number()) };
}

async function openClient(options: Options, context: CommandContext) {
  const { env } = context;
  const given = options["baseUrl"] ?? env["HARNESS_BASE_URL"];
  const baseUrl = typeof given === "string" && given !== "" ? given : usualBaseUrl;
  if (!/^https?:\/\//.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw usage(`--base-url (HARNESS_BASE_URL) is no URL: ${baseUrl}`, `Such as: ${usualBaseUrl}`);
  }
  return await openDispatchClient({ baseUrl, token: env["HARNESS_BEARER_TOKEN"] || undefined, paths: homeOf(context) });
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
function lastLines({ completion, agents, timings }: DispatchReport): string {
  const head = `${completion.met ? "✔" : "✖"} ${completion.reason} (${duration(timings.durationMs)})\n`;
  const kept = agents.filter(({ outcome, deleted }) => outcome !== "succeeded" && !deleted);
  return (
    head + kept.map((one) => `  ${one.id ?? "never created"}: ${one.attachCommand ?? one.reason ?? ""}\n`).join("")
  );
}
