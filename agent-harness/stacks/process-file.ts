import { createRequire } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import { errorText, HarnessError } from "../shared/errors.ts";
import { processFileName } from "../shared/names.ts";
import type { App } from "../shared/processes.ts";
import type { Ledger } from "./ledger.ts";

const schema = z.object({ apps: z.array(z.looseObject({ name: z.string() })) });

/** The processes of a stack as its rendered process file has them; what it says is what runs. */
export async function readApps(ledger: Pick<Ledger, "id" | "workdir">): Promise<App[]> {
  const path = join(ledger.workdir, processFileName(ledger.id));
  const require = createRequire(import.meta.url);
  try {
    // A file that was written anew has to be read anew.
    delete require.cache[require.resolve(path)];
    return schema.parse(require(path)).apps;
  } catch (cause) {
    throw new HarnessError("STACK_NOT_FOUND", `${path} cannot be read: ${errorText(cause).split("\n", 1)[0]}`, {
      hint: `Run: agent-harness launch ${ledger.id}`,
      cause,
    });
  }
}
