import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorNumber } from "../../shared/errors.ts";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import { excludeFromGit } from "../git-exclude.ts";
import type { ResourceKind } from "../ledger.ts";
import type { LaunchContext, Resource, StackContext } from "../resource.ts";

export interface StackFile {
  kind: ResourceKind;
  name: (id: number) => string;
  render: (context: LaunchContext) => Promise<string>;
}

/** A file that is rendered into the stack's working directory, for its owner's eyes only and unseen by git. */
export function stackFile({ kind, name, render }: StackFile): Resource {
  const pathOf = ({ ledger }: StackContext): string => join(ledger.workdir, name(ledger.id));
  return {
    kind,
    ensure: async (context) => {
      const text = await render(context);
      await excludeFromGit(context.ledger.workdir);
      await removeScratch(pathOf(context));
      await writeFileAtomic(pathOf(context), text);
      // What the text was, so that `processes` sees whether anything changed, without the text itself.
      return { path: pathOf(context), sha256: createHash("sha256").update(text).digest("hex") };
    },
    destroy: async (context) => {
      await rm(pathOf(context), { force: true });
      await removeScratch(pathOf(context));
    },
    exists: async (context) => {
      if ((await findText(pathOf(context))) !== undefined) return pathOf(context);
      return (await listScratch(pathOf(context)))[0];
    },
  };
}

/** What a launch that was killed while it wrote has left beside the file; it holds the same secrets. */
async function listScratch(path: string): Promise<string[]> {
  const entries = await readdir(dirname(path)).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  const own = entries.filter((entry) => entry.startsWith(`${basename(path)}.`) && entry.endsWith(".tmp"));
  return own.map((entry) => join(dirname(path), entry));
}

async function removeScratch(path: string): Promise<void> {
  for (const scratch of await listScratch(path)) await rm(scratch, { force: true });
}
