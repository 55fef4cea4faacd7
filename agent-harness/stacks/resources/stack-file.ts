import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
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
      await writeFileAtomic(pathOf(context), text);
      // What the text was, so that `processes` sees whether anything changed, without the text itself.
      return { path: pathOf(context), sha256: createHash("sha256").update(text).digest("hex") };
    },
    destroy: async (context) => await rm(pathOf(context), { force: true }),
    exists: async (context) => ((await findText(pathOf(context))) === undefined ? undefined : pathOf(context)),
  };
}
