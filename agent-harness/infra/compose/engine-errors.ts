import { userInfo } from "node:os";
import { z } from "zod";
import { errorNumber, errorText, HarnessError } from "../../shared/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/** What an engine has to understand: Docker 20.10, for `host-gateway` in the compose file. */
const oldestApi = { version: "20.10", api: [1, 41] } as const;

const embeddedInstead = "set infra.driver to embedded";

/** Whether the engine said that there is no such thing. */
export const isMissing = (error: unknown): boolean => statusOf(error) === 404;

/** The engine's own words of an error, without what the client puts around them. */
export function engineWords(error: unknown): string {
  const body = typeof error === "object" && error !== null && "json" in error ? error.json : undefined;
  const words = z.object({ message: z.string() }).safeParse(body).data?.message ?? errorText(error);
  return words.replace(/^\(HTTP code \d+\) [a-z ]+ - /, "").trim();
}

/** Why a question to the engine had no answer: DOCKER_FORBIDDEN or DOCKER_UNAVAILABLE. `limitMs`: it took too long. */
export function unanswered(
  error: unknown,
  { host, source }: Endpoint,
  { limitMs }: { limitMs?: number } = {},
): HarnessError {
  const code = errorNumber(error);
  if (code === "EACCES" || code === "EPERM") {
    const user = findUserName();
    const who = user ?? `The user ${process.getuid?.()}`;
    const join = user === undefined ? "Let it into the group of the socket" : `Run: sudo usermod -aG docker ${user}`;
    return new HarnessError("DOCKER_FORBIDDEN", `${who} may not use the Docker engine at ${host} (${source}).`, {
      hint: `${join}, then log in again. Or ${embeddedInstead}.`,
      cause: error,
    });
  }
  const unavailable = (what: string, hint: string): HarnessError =>
    new HarnessError("DOCKER_UNAVAILABLE", what, { hint: `${hint}, or ${embeddedInstead}.`, cause: error });
  if (limitMs !== undefined) {
    const what = `The Docker engine at ${host} (${source}) did not answer within ${limitMs / 1000} s.`;
    return unavailable(what, "Restart Docker");
  }
  const status = statusOf(error);
  if (status !== undefined) {
    const what = `The Docker engine at ${host} (${source}) answered with an error, ${status}: ${engineWords(error)}`;
    return unavailable(what, "Look at the engine's own log (Linux: journalctl --unit docker) and mend what it says");
  }
  const what = `No Docker engine answers at ${host} (${source}): ${errorText(error)}.`;
  return unavailable(what, "Start Docker, or set DOCKER_HOST to where it is");
}

const versionAnswer = z.object({ Version: z.string(), ApiVersion: z.string().regex(/^\d+\.\d+$/) });

/** The version in an engine's answer. DOCKER_UNAVAILABLE when it is too old, or no engine at all. */
export function requireVersion(answer: unknown, { host, source }: Endpoint): string {
  const { data } = versionAnswer.safeParse(answer);
  if (data === undefined) {
    throw new HarnessError("DOCKER_UNAVAILABLE", `What answers at ${host} (${source}) is no Docker engine.`, {
      hint: `Set DOCKER_HOST to where Docker is, or ${embeddedInstead}.`,
    });
  }
  const [major = 0, minor = 0] = data.ApiVersion.split(".").map(Number);
  const [oldestMajor, oldestMinor] = oldestApi.api;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return data.Version;
  const oldest = `${oldestApi.version} (API ${oldestApi.api.join(".")})`;
  throw new HarnessError(
    "DOCKER_UNAVAILABLE",
    `The Docker engine at ${host} (${source}) is ${data.Version} (API ${data.ApiVersion}): ${oldest} is the oldest that will do.`,
    { hint: `Update Docker, or ${embeddedInstead}.` },
  );
}

/** The certificates that an engine asks for cannot be read. */
export const withoutCertificates = (folder: string, { host, source }: Endpoint, cause: unknown): HarnessError =>
  new HarnessError(
    "DOCKER_UNAVAILABLE",
    `The certificates for the Docker engine at ${host} (${source}) cannot be read: ${errorText(cause)}`,
    { hint: `Put ca.pem, cert.pem and key.pem into ${folder}, or ${embeddedInstead}.`, cause },
  );

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("statusCode" in error)) return undefined;
  return typeof error.statusCode === "number" ? error.statusCode : undefined;
}

/** Undefined for a user that has a number only, as in many containers. */
function findUserName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
