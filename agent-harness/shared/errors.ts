/** What an error means to whoever called; decides the exit code, the HTTP status and whether trying again can help. */
export type ErrorKind = "failed" | "usage" | "config" | "missing" | "conflict" | "unavailable" | "timeout" | "bug";

/** The one table from kind to consequence, so that no two doors can disagree. */
export const errorKinds: Record<ErrorKind, { exitCode: number; httpStatus: number; retry: boolean }> = {
  failed: { exitCode: 1, httpStatus: 422, retry: false },
  usage: { exitCode: 2, httpStatus: 400, retry: false },
  config: { exitCode: 3, httpStatus: 400, retry: false },
  missing: { exitCode: 4, httpStatus: 404, retry: false },
  conflict: { exitCode: 5, httpStatus: 409, retry: true },
  unavailable: { exitCode: 6, httpStatus: 503, retry: true },
  timeout: { exitCode: 7, httpStatus: 504, retry: true },
  bug: { exitCode: 70, httpStatus: 500, retry: false },
};

/** Every code is permanent and searchable; `docs/errors.md` is generated from this table. */
export const errorCodes = {
  // failed: the thing asked about is not well
  HEALTH_FAILED: "failed",
  COMMAND_FAILED: "failed",
  BUILD_STEP_FAILED: "failed",
  AFTER_CLONE_FAILED: "failed",
  SURVIVORS: "failed",
  INSTALL_FAILED: "failed",
  GIT_FAILED: "failed",
  STATE_UNREADABLE: "failed",
  KEEPER_FAILED: "failed",
  // usage: the command line is wrong
  USAGE: "usage",
  AGENT_ID_INVALID: "usage",
  STACK_AMBIGUOUS: "usage",
  PROCESS_UNKNOWN: "usage",
  CONFIRMATION_NEEDED: "usage",
  INVALID_REQUEST: "usage",
  BODY_TOO_LARGE: "usage",
  METHOD_NOT_ALLOWED: "usage",
  // config: a file of the project is wrong
  CONFIG_INVALID: "config",
  CONFIG_NOT_FOUND: "config",
  CONFIG_EXISTS: "config",
  ENV_VALUE_UNSUPPORTED: "config",
  TEMPLATE_INVALID: "config",
  EXECUTABLE_NOT_FOUND: "config",
  EXTENSION_UNAVAILABLE: "config",
  VERIFY_EMPTY: "config",
  HOME_UNUSABLE: "config",
  POSTGRES_VERSION_DIFFERS: "config",
  STORE_NEWER: "config",
  DOCKER_HOST_UNSUPPORTED: "config",
  UNAUTHORIZED: "config",
  HOST_FORBIDDEN: "config",
  // missing: no such thing
  STACK_NOT_FOUND: "missing",
  TEMPLATE_DATABASE_NOT_FOUND: "missing",
  SNAPSHOT_NOT_FOUND: "missing",
  SERVICE_UNKNOWN: "missing",
  CONTAINER_MISSING: "missing",
  MAIL_NOT_FOUND: "missing",
  GIT_REF_NOT_FOUND: "missing",
  NOT_FOUND: "missing",
  PROJECT_NOT_FOUND: "missing",
  AGENT_NOT_FOUND: "missing",
  // conflict: somebody else has it
  PORT_TAKEN: "conflict",
  PORTS_DIFFER: "conflict",
  AGENT_ID_TAKEN: "conflict",
  INFRA_DIFFERS: "conflict",
  DRIVER_DIFFERS: "conflict",
  ENGINE_DIFFERS: "conflict",
  LOCK_HELD: "conflict",
  BRANCH_TAKEN: "conflict",
  WORKTREE_TAKEN: "conflict",
  WORK_UNSAVED: "conflict",
  NAME_FOREIGN: "conflict",
  STACKS_ALIVE: "conflict",
  STACK_UNFINISHED: "conflict",
  SNAPSHOT_EXISTS: "conflict",
  PROJECT_EXISTS: "conflict",
  NAME_CONFLICT: "conflict",
  PENDING_STALE: "conflict",
  STACK_NOT_LAUNCHED: "conflict",
  STACK_IN_USE: "conflict",
  AGENT_EXITED: "conflict",
  AGENT_ELSEWHERE: "conflict",
  // unavailable: a program or server does not answer
  INFRA_DOWN: "unavailable",
  POSTGRES_UNAVAILABLE: "unavailable",
  STORE_UNAVAILABLE: "unavailable",
  S3_UNAVAILABLE: "unavailable",
  MAIL_UNAVAILABLE: "unavailable",
  BROWSER_NOT_FOUND: "unavailable",
  BROWSER_UNAVAILABLE: "unavailable",
  PM2_UNAVAILABLE: "unavailable",
  DOCKER_UNAVAILABLE: "unavailable",
  DOCKER_FORBIDDEN: "unavailable",
  COMPOSE_MISSING: "unavailable",
  IMAGE_UNAVAILABLE: "unavailable",
  PROGRAM_MISSING: "unavailable",
  DISK_FULL: "unavailable",
  MEMORY_SHORT: "unavailable",
  TMUX_UNAVAILABLE: "unavailable",
  TMUX_ERROR: "unavailable",
  KEEPER_GONE: "unavailable",
  API_UNREACHABLE: "unavailable",
  // timeout
  TIMEOUT: "timeout",
  // bug
  INTERNAL: "bug",
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCodes;

/** The codes whose HTTP status is not their kind's: HTTP, or seed 001, has a status of its own for what they say. */
const ownStatus: Partial<Record<ErrorCode, number>> = {
  UNAUTHORIZED: 401,
  HOST_FORBIDDEN: 403,
  METHOD_NOT_ALLOWED: 405,
  BODY_TOO_LARGE: 413,
  TMUX_ERROR: 500,
};

/** The HTTP status that a code means. */
export const httpStatusOf = (code: ErrorCode): number => ownStatus[code] ?? errorKinds[errorCodes[code]].httpStatus;

export interface ErrorDetails {
  /** One imperative sentence: the next command to run. */
  hint?: string | undefined;
  /** What remains on the machine after a step that changes it failed. */
  leftBehind?: string | undefined;
  /** Names and numbers, never secrets. */
  context?: Record<string, unknown> | undefined;
  cause?: unknown;
}

/** The only error class: a permanent code, what happened with the real names, and what to do next. */
export class HarnessError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly leftBehind: string | undefined;
  readonly context: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "HarnessError";
    this.code = code;
    this.kind = errorCodes[code];
    this.hint = details.hint;
    this.leftBehind = details.leftBehind;
    this.context = details.context ?? {};
  }

  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      kind: this.kind,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.leftBehind === undefined ? {} : { leftBehind: this.leftBehind }),
      context: this.context,
    };
  }
}

/** Any thrown value as a HarnessError; what is not one already is a bug, with a full disk told apart. */
export function asHarnessError(thrown: unknown): HarnessError {
  if (thrown instanceof HarnessError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (errorNumber(thrown) === "ENOSPC") {
    return new HarnessError("DISK_FULL", `The disk is full: ${message}`, {
      hint: "Free some space, then run the same command again; it goes on where it stopped.",
      cause: thrown,
    });
  }
  return new HarnessError("INTERNAL", message, { cause: thrown });
}

/** The system's or the server's short code of an error (`ENOENT`, `42P04`), where it has one. */
export function errorNumber(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/** The text of any thrown value, for a message that quotes it. */
export function errorText(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === "") return thrown.errors.map(errorText).join("; ");
  return thrown instanceof Error ? thrown.message : String(thrown);
}
