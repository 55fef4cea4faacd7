import { join } from "node:path";
import { parseEnv } from "../shared/env-file.ts";
import { HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import { envFileName } from "../shared/names.ts";
import { processEnv, stackPath } from "./env.ts";
import type { Ledger } from "./ledger.ts";

/** The variables of a stack, as its env file has them now. */
export async function readStackEnv(ledger: Pick<Ledger, "id" | "workdir">): Promise<Record<string, string>> {
  const path = join(ledger.workdir, envFileName(ledger.id));
  const text = await findText(path);
  if (text !== undefined) return parseEnv(text);
  throw new HarnessError("STACK_NOT_FOUND", `The env file ${path} is gone.`, {
    hint: `Run: agent-harness launch ${ledger.id}`,
  });
}

/** The whole environment of a program that runs for a stack, in its working directory. */
export async function stackProcessEnv(ledger: Pick<Ledger, "id" | "workdir">): Promise<Record<string, string>> {
  return processEnv(await readStackEnv(ledger), stackPath(ledger.workdir, ledger.workdir));
}
