import { join } from "node:path";
import { slug } from "../shared/names.ts";
import { describeError } from "./error-path.ts";
import { type ErrorReader, readErrors } from "./first-error.ts";
import { checkUrl } from "./http.ts";
import type { PlannedCommand, PlannedStage, VerifyPlan } from "./plan.ts";
import { type CommandReport, msSince, type StageReport, type VerifyEvent } from "./report.ts";
import { type RunOutcome, runProgram } from "./run.ts";

export interface StageContext {
  plan: VerifyPlan;
  /** The changed files of each command, as `findChanged` gives them. */
  changed: readonly (string[] | undefined)[];
  signal: AbortSignal | undefined;
  onEvent: (event: VerifyEvent) => void;
}

interface Ran {
  report: CommandReport;
  error?: string;
}

/** Runs the commands of one stage in parallel, all of them to their end, and gives the verdict. */
export async function runStage(stage: PlannedStage, context: StageContext): Promise<StageReport> {
  const start = performance.now();
  const limit = new AbortController();
  const timer = stage.timeoutMs > 0 ? setTimeout(() => limit.abort(), stage.timeoutMs) : undefined;
  const stopped = context.signal ?? new AbortController().signal;
  const signal = AbortSignal.any([limit.signal, stopped]);
  const unfinished = new Set<string>();
  const logs = logFiles(stage, context.plan.logFolder);
  const settled = await Promise.allSettled(
    stage.commands.map(async (command, index) => {
      unfinished.add(command.label);
      const ran = await runCommand(command, { stage, context, signal, log: logs[index] ?? "", index });
      if (!signal.aborted) unfinished.delete(command.label);
      context.onEvent({ type: "command-done", stage: stage.name, command: ran.report });
      return ran;
    }),
  );
  clearTimeout(timer);
  // Only when all have ended: nothing of this stage may run on behind an error.
  const ran = settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
  const report = verdict(stage, ran, msSince(start));
  if (!signal.aborted || report.status === "pass") return report;
  const what = stopped.aborted ? "was stopped" : `did not finish within ${stage.timeoutMs} ms`;
  return { ...report, first_error: `stage ${stage.name} ${what}: ${[...unfinished].join(", ")}` };
}

function verdict(stage: PlannedStage, ran: Ran[], durationMs: number): StageReport {
  const failed = ran.find((one) => one.report.status === "fail");
  return {
    name: stage.name,
    status: failed === undefined ? "pass" : "fail",
    duration_ms: durationMs,
    ...(failed?.error === undefined ? {} : { first_error: failed.error }),
    ...(failed?.report.log === undefined ? {} : { log: failed.report.log }),
    ...(ran.every((one) => one.report.skipped !== undefined) ? { skipped: true as const } : {}),
    commands: ran.map((one) => one.report),
  };
}

interface CommandContext {
  stage: PlannedStage;
  context: StageContext;
  signal: AbortSignal;
  log: string;
  index: number;
}

async function runCommand(command: PlannedCommand, place: CommandContext): Promise<Ran> {
  const start = performance.now();
  const report = (status: "pass" | "fail", more: Partial<CommandReport> = {}): CommandReport => ({
    label: command.label,
    status,
    exit_code: null,
    duration_ms: msSince(start),
    ...more,
  });
  if (command.type === "http") {
    const error = await checkUrl(command.url, place.signal);
    return error === undefined ? { report: report("pass") } : { report: report("fail"), error };
  }
  const changed = place.context.changed[place.index];
  if (changed?.length === 0) return { report: report("pass", { skipped: "no changed files match" }) };
  const errors = readErrors();
  const outcome = await runProgram({
    argv: [...command.argv, ...(changed ?? [])],
    cwd: command.cwd,
    workdir: place.context.plan.workdir,
    env: place.context.plan.env,
    logFile: place.log,
    signal: place.signal,
    onLine(stream, line) {
      errors.line(stream, line);
      place.context.onEvent({ type: "output", stage: place.stage.name, command: command.label, line });
    },
  });
  const exitCode = "exitCode" in outcome ? outcome.exitCode : null;
  if (exitCode === 0) return { report: report("pass", { exit_code: 0, log: place.log }) };
  const error = await explain(command, outcome, errors, place.context.plan.workdir);
  return { report: report("fail", { exit_code: exitCode, log: place.log }), error };
}

/** What was wrong, in one line: the error that a tool named, else the last thing that the command said. */
async function explain(
  command: PlannedCommand & { type: "run" },
  outcome: RunOutcome,
  errors: ErrorReader,
  workdir: string,
): Promise<string> {
  if ("notStarted" in outcome) return `${command.label}: ${outcome.notStarted}`;
  const error = errors.end();
  if (error !== undefined) return describeError(error, { workdir, cwd: command.cwd });
  const end =
    outcome.exitCode === null ? `was ended by ${outcome.signal ?? "a signal"}` : `exited with code ${outcome.exitCode}`;
  const said = errors.lastLine();
  return said === undefined
    ? `${command.label} ${end} and printed nothing`
    : describeError({ message: `${command.label} ${end}: ${said}`, folders: [] }, { workdir, cwd: command.cwd });
}

/** One log for each command, also when two labels are alike. */
function logFiles(stage: PlannedStage, folder: string): string[] {
  const used = new Map<string, number>();
  return stage.commands.map((command) => {
    const name = `${slug(stage.name)}-${slug(command.label)}`;
    const count = (used.get(name) ?? 0) + 1;
    used.set(name, count);
    return join(folder, `${name}${count > 1 ? `.${count}` : ""}.log`);
  });
}
