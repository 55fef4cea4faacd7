import { errorText, HarnessError } from "../../shared/errors.ts";
import type { ExecOptions } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import type { ContainerFacts } from "./engine.ts";

/** What is to run where. */
export interface Call {
  service: ServiceId;
  container: ContainerFacts;
  argv: readonly string[];
  options: ExecOptions;
}

const programOf = ({ argv }: Call): string => JSON.stringify(argv[0] ?? "");

const contextOf = ({ service, container }: Call): Record<string, unknown> => ({ service, container: container.name });

/** INFRA_DOWN when the engine refuses what it is asked about a container; it has stopped just now, say. */
export async function explained<T>(call: Call, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new HarnessError(
      "INFRA_DOWN",
      `${programOf(call)} cannot run in the container ${call.container.name} of ${call.service}: ${errorText(error).trim()}`,
      { hint: "Run: agent-harness infra up", context: contextOf(call), cause: error },
    );
  }
}

/** INFRA_DOWN when the container, or its engine, ended under a running program. */
export function gone(call: Call, why: unknown): HarnessError {
  const { service, container } = call;
  return new HarnessError(
    "INFRA_DOWN",
    `The container ${container.name} of ${service} ended while ${programOf(call)} ran in it: ${errorText(why).trim()}`,
    { hint: "Run: agent-harness infra up", context: contextOf(call), cause: why },
  );
}

/** EXECUTABLE_NOT_FOUND out of the engine's words for a program that it could not start. */
export function refused(call: Call, words: string): HarnessError {
  const { service, container, options } = call;
  const where = `the container ${container.name} of ${service}`;
  const missing = /executable file not found|no such file or directory/i.test(words);
  const message = missing
    ? `There is no program ${programOf(call)} in ${where}.`
    : `${programOf(call)} cannot be run in ${where}: ${reasonIn(words)}.`;
  return new HarnessError("EXECUTABLE_NOT_FOUND", message, {
    hint: `A shell's own words need a shell: agent-cli ${options.agentId} exec --in ${service} sh -c '…'. A program of this machine: agent-cli ${options.agentId} exec <program>`,
    context: contextOf(call),
  });
}

/** The last of the engine's words that says something: before it stand the parts of the engine that handed it on. */
function reasonIn(words: string): string {
  const parts = words.replace(/: unknown$/, "").split(": ");
  return parts.at(-1) || "the engine does not say why";
}

/** SURVIVORS when a program was killed and goes on. */
export function goesOn(call: Call): HarnessError {
  const { container } = call;
  return new HarnessError("SURVIVORS", `${programOf(call)} in the container ${container.name} does not end.`, {
    hint: `Look for it: docker top ${container.name}. What runs as another user than it was started as is not reached from here.`,
    leftBehind: `${programOf(call)} in the container ${container.name}`,
    context: contextOf(call),
  });
}
