import { openDispatchClient } from "../cli/dispatch-client.ts";
import { givenInputs } from "../cli/dispatch-inputs.ts";
import { openHintReceiver } from "../cli/dispatch-receiver.ts";
import { readRequest } from "../sessions/dispatch/inputs.ts";
import type { DispatchReport } from "../sessions/dispatch/report.ts";
import type { Pace } from "../sessions/dispatch/run.ts";
import { dispatch } from "../sessions/dispatch.ts";
import { homePaths } from "../shared/paths.ts";
import type { ApiDouble } from "./api-double.ts";

export interface DispatchTrial {
  /** As commander gives them. */
  flags?: Record<string, unknown>;
  timeouts?: Record<string, number>;
  pace?: Partial<Pace>;
  /** The run's time is over when people are told this, so that no test has to guess how long it takes. */
  lateWhen?: RegExp;
  interrupted?: AbortSignal;
  hurried?: AbortSignal;
  home?: string;
  token?: string;
}

/** Dispatches a task to the double, over HTTP, in a hurry: without polls unless the trial wants them. */
export async function dispatchTo(double: ApiDouble, trial: DispatchTrial = {}): Promise<DispatchReport> {
  const { flags = {}, timeouts = {}, pace = {}, interrupted, hurried, home = "/nowhere", token = double.token } = trial;
  const { lateWhen } = trial;
  const late = new AbortController();
  const limits = { spawnTimeoutMs: 8000, completionTimeoutMs: 10_000, idleGraceMs: 2000, ...timeouts };
  const given = { provider: "codex", task: "Say hello.", cwd: "/work/shop", runId: "r1", ...flags };
  const request = readRequest(givenInputs(given, { TIMEOUTS: JSON.stringify(limits) }), "/");
  const client = await openDispatchClient({ baseUrl: double.url, token, paths: homePaths(home) });
  await using hints = request.webhook ? await openHintReceiver() : undefined;
  return await dispatch(request, {
    client,
    hints,
    late: late.signal,
    progress: (told) => {
      if (told.type === "note" && lateWhen?.test(told.text)) late.abort();
    },
    pace: { backoffMs: 2, pollMs: 60_000, silenceMs: 60_000, settleMs: 50, ...pace },
    ...(interrupted === undefined ? {} : { interrupted }),
    ...(hurried === undefined ? {} : { hurried }),
  });
}
