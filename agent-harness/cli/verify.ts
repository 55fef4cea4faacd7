import { join } from "node:path";
import { verifyPermits } from "../shared/settings.ts";
import { keepVerdict, openStack, selectStack, whileUsing } from "../stacks/index.ts";
import { planStages, type StageReport, type VerifyEvent, type VerifyReport, verify } from "../verify/index.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { jsonText } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf } from "./stack-command.ts";
import { usage } from "./usage.ts";

export const verifyCommand = command<VerifyReport>({
  usage: "verify [id]",
  summary: "run the verify stages in a stack's working directory; one JSON verdict on stdout, exit 1 when red",
  options: [
    ["--full", "also the stages that are only run in full"],
    ["--stage <name...>", "only these stages"],
    ["--keep-going", "go on after a red stage"],
    ["--no-cache", "run stages again whose files have not changed"],
    ["--json [form]", "`stream` prints each event as one line of JSON; one document is printed anyway"],
  ],
  ownJson: true,
  run: runVerify,
  exitCode: ({ status }) => (status === "pass" ? 0 : 1),
});

async function runVerify(
  args: readonly (string | undefined)[],
  options: Options,
  context: CommandContext,
): Promise<VerifyReport> {
  const form = options["json"];
  if (typeof form === "string" && form !== "stream")
    throw usage(`--json=${form} is not known.`, "Use --json=stream, or nothing.");
  const stream = form === "stream";
  const paths = homeOf(context);
  const { env, cwd } = context;
  const id = await selectStack({ paths, given: args[0], env, cwd, sharedIsFine: true });
  const stack = await openStack(paths, id, env);
  const { workdir } = stack.ledger;
  context.stderr(`verify agent ${id} in ${workdir}\n`);
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  const stages = planStages(stack.project.config.verify, (text) => stack.fill(text, "verify.stages"), workdir);
  const folder = join(paths.verify, String(id));
  const report = await whileUsing(paths, id, () =>
    verify(
      {
        workdir,
        env: stack.env,
        cacheFolder: join(paths.verify, "cache"),
        logFolder: join(folder, "logs"),
        stages,
        permits: {
          folder: join(paths.verify, "permits"),
          count: verifyPermits(stack.project.env),
          doing: `verify of agent ${id}`,
        },
      },
      {
        full: options["full"] === true,
        keepGoing: options["keepGoing"] === true,
        cache: options["cache"] !== false,
        signal: abort.signal,
        ...(Array.isArray(options["stage"]) ? { only: options["stage"].map(String) } : {}),
        onEvent: (event) => (stream ? context.stdout(`${JSON.stringify(event)}\n`) : printEvent(event, context)),
      },
    ),
  );
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
  if (!abort.signal.aborted) await keepVerdict(paths, id, verdictOf(report, options));
  if (!stream) context.stdout(jsonText(report));
  return report;
}

/** What `status` shows of it later. */
const verdictOf = ({ status }: VerifyReport, options: Options) => ({
  status,
  full: options["full"] === true,
  ...(Array.isArray(options["stage"]) ? { only: options["stage"].map(String) } : {}),
});

function printEvent(event: VerifyEvent, { stderr }: CommandContext): void {
  if (event.type === "stage-start") stderr(`  … ${event.stage}: ${event.commands.join(", ")}\n`);
  if (event.type === "note") stderr(`    ${event.text}\n`);
  if (event.type === "waiting") {
    stderr(`    waiting for ${event.for.map((one) => `pid ${one.pid} (${one.doing})`).join(", ")}\n`);
  }
  if (event.type === "stage-done") stderr(stageLines(event.stage));
}

function stageLines(stage: StageReport): string {
  const how = stage.cached ? "cached" : stage.skipped ? "nothing to do" : duration(stage.duration_ms);
  const head = `  ${stage.status === "pass" ? "✔" : "✖"} ${stage.name} (${how})\n`;
  const error = stage.first_error === undefined ? "" : `      ${stage.first_error}\n`;
  return head + error + (stage.log === undefined ? "" : `      log: ${stage.log}\n`);
}
