import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import { excludeFromGit } from "../git-exclude.ts";
import type { ResourceKind } from "../ledger.ts";
import { entryOf, type LaunchContext, type Resource, type StackContext } from "../resource.ts";

export interface StackFile {
  kind: ResourceKind;
  name: (id: number) => string;
  /** The text; its first line has to hold `fileHeader`. */
  render: (context: LaunchContext) => Promise<string>;
  /** What of it counts when two launches are compared. (Default: the whole text) */
  compared?: (context: LaunchContext) => string;
}

/** What the first line of every rendered file says, by which it is known as ours when the ledger is lost. */
export const fileHeader = (id: number): string => `Written by agent-harness for agent ${id} (`;

/**
 * A file that is rendered into the stack's working directory, for its owner's eyes only and unseen by git. A file of that
 * name which somebody else wrote is never touched: ensure refuses it with NAME_FOREIGN, the others do not see it.
 */
export function stackFile({ kind, name, render, compared }: StackFile): Resource {
  const pathOf = ({ ledger }: StackContext): string => join(ledger.workdir, name(ledger.id));
  const look = (context: StackContext): Promise<Whose> => whose(pathOf(context), kind, context);
  return {
    kind,
    ensure: async (context) => {
      const text = await render(context);
      if ((await look(context)) === "foreign") throw foreign(pathOf(context), context);
      await excludeFromGit(context.ledger.workdir);
      await removeScratch(pathOf(context));
      await writeFileAtomic(pathOf(context), text);
      // What the text was, so that `processes` sees whether anything changed, without the text itself.
      return {
        path: pathOf(context),
        sha256: createHash("sha256")
          .update(compared?.(context) ?? text)
          .digest("hex"),
      };
    },
    destroy: async (context) => {
      if ((await look(context)) === "ours") await rm(pathOf(context), { force: true });
      await removeScratch(pathOf(context));
    },
    exists: async (context) => {
      if ((await look(context)) === "ours") return pathOf(context);
      return (await listScratch(pathOf(context)))[0];
    },
  };
}

type Whose = "nobody's" | "ours" | "foreign";

async function whose(path: string, kind: ResourceKind, { ledger }: StackContext): Promise<Whose> {
  const text = await findText(path);
  if (text === undefined) return "nobody's";
  // A path in the ledger: a launch has written it. An entry alone only says that one was about to.
  if (entryOf(ledger, kind)?.["path"] === path) return "ours";
  return text.split("\n", 1)[0]?.includes(fileHeader(ledger.id)) ? "ours" : "foreign";
}

function foreign(path: string, { ledger: { id } }: StackContext): HarnessError {
  return new HarnessError("NAME_FOREIGN", `${path} exists, and it was not agent-harness that wrote it.`, {
    hint: `Move it away, then run: agent-harness launch ${id}. Or launch another id.`,
    leftBehind: `that file as it was, and what the steps before it made (agent-harness teardown ${id} takes that away, not the file)`,
    context: { id, path },
  });
}

/** What a launch that was killed while it wrote has left beside the file; it holds the same secrets. */
async function listScratch(path: string): Promise<string[]> {
  const entries = await readdir(dirname(path)).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  const start = `${basename(path)}.`;
  const own = entries.filter((entry) => entry.startsWith(start) && scratchEnd.test(entry.slice(start.length)));
  return own.map((entry) => join(dirname(path), entry));
}

/** As writeFileAtomic names it: its pid and a random number. */
const scratchEnd = /^\d+\.[0-9a-f]{8}\.tmp$/;

async function removeScratch(path: string): Promise<void> {
  for (const scratch of await listScratch(path)) await rm(scratch, { force: true });
}
