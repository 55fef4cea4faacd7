import { join } from "node:path";
import { z } from "zod";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { type HomePaths, stackFolder } from "../shared/paths.ts";
import { findLedger } from "./ledger.ts";

const schema = z.object({
  status: z.enum(["pass", "fail"]),
  /** When it ended. */
  at: z.string(),
  /** Whether the stages that are only run in full were run too. */
  full: z.boolean(),
  /** The stages that were asked for, where they were not all. */
  only: z.array(z.string()).optional(),
});

/** The last verdict of verify on a stack's working directory. */
export type LastVerify = z.output<typeof schema>;

/** Where the last verdict on a stack is kept. */
export const verdictPath = (paths: HomePaths, id: number): string => join(stackFolder(id, paths.home), "verify.json");

/** Keeps a verdict beside the stack's ledger, and goes with it; for a stack that is gone by now nothing is kept. */
export async function keepVerdict(paths: HomePaths, id: number, verdict: Omit<LastVerify, "at">): Promise<void> {
  if ((await findLedger(paths, id)) === undefined) return;
  await writeFileAtomic(verdictPath(paths, id), `${JSON.stringify({ ...verdict, at: new Date().toISOString() })}\n`);
}

/** The last verdict on a stack; undefined when there is none, or none that can be understood. */
export async function findVerdict(paths: HomePaths, id: number): Promise<LastVerify | undefined> {
  const text = await findText(verdictPath(paths, id));
  try {
    return text === undefined ? undefined : schema.parse(JSON.parse(text));
  } catch {
    // The next verify writes it anew.
    return undefined;
  }
}
