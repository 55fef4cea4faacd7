/** What one command of a stage came to. */
export interface CommandReport {
  label: string;
  status: "pass" | "fail";
  /** Null when it never ran, was killed, or is a URL. */
  exit_code: number | null;
  duration_ms: number;
  /** Where its whole output is kept. */
  log?: string;
  /** Why it was left out; it counts as done. */
  skipped?: string;
}

/** One stage, in the words of the JSON that verify prints. */
export interface StageReport {
  name: string;
  status: "pass" | "fail";
  duration_ms: number;
  /** `file:line message`, of the first command in the stage's order that failed. */
  first_error?: string;
  /** The same content passed before; nothing ran. */
  cached?: true;
  /** How long the run took that the cached result comes from. */
  cached_duration_ms?: number;
  /** Every command was left out. */
  skipped?: true;
  /** How long it waited for other agents' runs before it began; not part of `duration_ms`. */
  waited_ms?: number;
  /** The log of the command that `first_error` comes from. */
  log?: string;
  commands?: CommandReport[];
}

/** The one document that verify prints. Stages that were not run are not in it. */
export interface VerifyReport {
  status: "pass" | "fail";
  stages: StageReport[];
  total_duration_ms: number;
}

/** What happens while verify runs. `line` is as the command printed it, cut at 4096 characters. */
export type VerifyEvent =
  | { type: "stage-start"; stage: string; commands: string[] }
  | { type: "output"; stage: string; command: string; line: string }
  | { type: "command-done"; stage: string; command: CommandReport }
  | { type: "note"; stage: string; text: string }
  | { type: "waiting"; stage: string; for: { pid: number; doing: string }[] }
  | { type: "stage-done"; stage: StageReport }
  | { type: "done"; report: VerifyReport };

/** Whole ms since a reading of `performance.now()`. */
export const msSince = (start: number): number => Math.round(performance.now() - start);
