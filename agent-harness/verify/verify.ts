import { HarnessError } from "../shared/errors.ts";
import { type PermitHolder, withPermit } from "../shared/semaphore.ts";
import { cacheKey, findCached, keepResult } from "./cache.ts";
import { findChanged } from "./changed.ts";
import type { PlannedStage, VerifyPlan } from "./plan.ts";
import { msSince, type StageReport, type VerifyEvent, type VerifyReport } from "./report.ts";
import { runStage, type StageContext } from "./stage.ts";

export interface VerifyOptions {
  /** Run the stages marked `full` too. */
  full?: boolean;
  /** Only these stages, by name, whether `full` or not. */
  only?: readonly string[];
  /** Go on after a red stage. */
  keepGoing?: boolean;
  /** Use and fill the cache. (Default: true) */
  cache?: boolean;
  /** Stops what runs; the report says so. */
  signal?: AbortSignal;
  onEvent?: (event: VerifyEvent) => void;
}

/**
 * Runs the stages one after the other and gives the verdict; a red stage ends it unless `keepGoing`. Durations in ms.
 * Throws VERIFY_EMPTY when nothing would run (that is no pass), USAGE for an unknown stage.
 */
export async function verify(plan: VerifyPlan, options: VerifyOptions = {}): Promise<VerifyReport> {
  const start = performance.now();
  const stages = chooseStages(plan.stages, options);
  const onEvent = options.onEvent ?? (() => undefined);
  const done: StageReport[] = [];
  for (const stage of stages) {
    onEvent({ type: "stage-start", stage: stage.name, commands: stage.commands.map((command) => command.label) });
    const report = await proveStage(plan, stage, options, onEvent);
    done.push(report);
    onEvent({ type: "stage-done", stage: report });
    if (options.signal?.aborted || (report.status === "fail" && !options.keepGoing)) break;
  }
  // Stopped between two stages: what did not run cannot have passed.
  const complete = done.length === stages.length && done.every((stage) => stage.status === "pass");
  const report: VerifyReport = {
    status: complete ? "pass" : "fail",
    stages: done,
    total_duration_ms: msSince(start),
  };
  onEvent({ type: "done", report });
  return report;
}

function chooseStages(stages: readonly PlannedStage[], options: VerifyOptions): PlannedStage[] {
  const names = stages.map((stage) => stage.name);
  if (names.length === 0) {
    throw empty("No stages are configured, so there is nothing to verify.", "Add verify.stages to agent-harness.yml.");
  }
  const unknown = options.only?.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new HarnessError("USAGE", `There is no stage ${JSON.stringify(unknown)}.`, {
      hint: `Choose among: ${names.join(", ")}.`,
    });
  }
  const chosen = stages.filter((stage) => options.only?.includes(stage.name) ?? (options.full === true || !stage.full));
  if (chosen.length === 0) {
    throw empty(`Every stage runs with --full only: ${names.join(", ")}.`, "Run verify --full, or name a --stage.");
  }
  const bare = chosen.find((stage) => stage.commands.length === 0 || stage.commands.some(isBare));
  if (bare !== undefined) {
    throw empty(`Stage ${bare.name} has no command to run.`, "Give it commands in agent-harness.yml, or remove it.");
  }
  return chosen;
}

const isBare = (command: PlannedStage["commands"][number]): boolean =>
  command.type === "run" && (command.argv[0] ?? "") === "";

const empty = (message: string, hint: string): HarnessError => new HarnessError("VERIFY_EMPTY", message, { hint });

/** One stage: from the cache where the same content passed before, else by running it. */
async function proveStage(
  plan: VerifyPlan,
  stage: PlannedStage,
  options: VerifyOptions,
  onEvent: (event: VerifyEvent) => void,
): Promise<StageReport> {
  const start = performance.now();
  const changed = await Promise.all(stage.commands.map((command) => findChanged(command, plan.workdir)));
  const context: StageContext = { plan, changed, signal: options.signal, onEvent };
  if (options.cache === false) return await runInTurn(stage, context);
  const before = await cacheKey(plan, stage, changed);
  if (!("key" in before)) {
    if (before.reason !== undefined) onEvent({ type: "note", stage: stage.name, text: before.reason });
    return await runInTurn(stage, context);
  }
  const cached = await findCached(plan.cacheFolder, before.key);
  if (cached !== undefined) {
    const { durationMs } = cached;
    return {
      name: stage.name,
      status: "pass",
      duration_ms: msSince(start),
      cached: true,
      cached_duration_ms: durationMs,
    };
  }
  const report = await runInTurn(stage, context);
  if (report.status === "fail" || report.skipped) return report;
  // Somebody may have edited while it ran: then nobody knows which content passed.
  const after = await cacheKey(plan, stage, await changedNow(plan, stage));
  if ("key" in after && after.key === before.key) {
    await keepResult(plan.cacheFolder, before.key, stage.name, report.duration_ms);
  } else onEvent({ type: "note", stage: stage.name, text: "not cached: its inputs changed while it ran" });
  return report;
}

/** Runs a stage; a heavy one when its turn has come among all that verify on this machine. */
async function runInTurn(stage: PlannedStage, context: StageContext): Promise<StageReport> {
  const { permits } = context.plan;
  if (permits === undefined || !stage.heavy) return await runStage(stage, context);
  const options = {
    permits: permits.count,
    doing: `${permits.doing}, stage ${stage.name}`,
    signal: context.signal,
    onWait: (holders: readonly PermitHolder[]) =>
      context.onEvent({ type: "waiting", stage: stage.name, for: [...holders] }),
  };
  return await withPermit(permits.folder, options, async (waitedMs) => {
    const report = await runStage(stage, context);
    // What drawing a number takes is no waiting.
    return waitedMs < 100 ? report : { ...report, waited_ms: Math.round(waitedMs) };
  });
}

const changedNow = (plan: VerifyPlan, stage: PlannedStage): Promise<(string[] | undefined)[]> =>
  Promise.all(stage.commands.map((command) => findChanged(command, plan.workdir)));
