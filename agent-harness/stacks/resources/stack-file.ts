import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import { everyAgentId } from "../../shared/names.ts";
import { isAlive } from "../../shared/process-tree.ts";
import { excludeFromGit } from "../git-exclude.ts";
import type { ResourceKind } from "../ledger.ts";
import { entryOf, type LaunchContext, type MarkedThing, type Resource, type StackContext } from "../resource.ts";

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

/** The same to its end; two harnesses of one machine may render into one folder. */
export const wholeHeader = (id: number, project: string, machine: string): string =>
  `${fileHeader(id)}${project}; harness ${machine})`;

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
    listMarked: async (search) => {
      const all = search.folders.map(async (folder) => {
        // A folder that we may not read is none that we wrote into.
        const names = new Set(await namesIn(folder).catch(() => []));
        const found = everyAgentId.map(async (id) => {
          const scratch = [...names].filter((one) => isScratch(name(id), one) && !isAlive(writerOf(one)));
          const there = [...scratch, ...(names.has(name(id)) ? [name(id)] : [])];
          return await Promise.all(there.map((one) => marked(join(folder, one), id, search.infra.machine)));
        });
        return (await Promise.all(found)).flat(2);
      });
      return (await Promise.all(all)).flat();
    },
  };
}

/** A file as gc sees it, when its first line says that it is ours. */
async function marked(path: string, id: number, machine: string): Promise<MarkedThing[]> {
  // What cannot be read, a folder of that name too, is nothing that we wrote.
  const text = await findText(path).catch(() => undefined);
  const first = text?.split("\n", 1)[0];
  // A killed write may have left nothing but the name, which is ours.
  const isEmptyScratch = text === "" && path.endsWith(".tmp");
  if (first === undefined || !(first.includes(fileHeader(id)) || isEmptyScratch)) return [];
  const another = / harness (\S+?)\)/.exec(first)?.[1];
  if (another !== undefined && another !== machine) return [];
  const unsure = another === undefined && !isEmptyScratch;
  return [
    {
      name: path,
      id,
      whyKept: async () =>
        unsure ? `it does not say which harness wrote it; if no other one of this machine did: rm ${path}` : undefined,
      remove: async () => {
        if ((await marked(path, id, machine)).length > 0) await rm(path, { force: true });
      },
    },
  ];
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
  const entries = await namesIn(dirname(path));
  return entries.filter((entry) => isScratch(basename(path), entry)).map((entry) => join(dirname(path), entry));
}

/** As writeFileAtomic names it: its pid and a random number. */
const scratchEnd = /^\.(\d+)\.[0-9a-f]{8}\.tmp$/;

const isScratch = (name: string, entry: string): boolean =>
  entry.startsWith(name) && scratchEnd.test(entry.slice(name.length));

const writerOf = (scratch: string): number => Number(/\.(\d+)\.[0-9a-f]{8}\.tmp$/.exec(scratch)?.[1]);

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(errorNumber(error) ?? "")) return [];
    throw error;
  });
}

async function removeScratch(path: string): Promise<void> {
  for (const scratch of await listScratch(path)) await rm(scratch, { force: true });
}
