import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { HarnessError } from "../../shared/errors.ts";
import { failedWith, type ProjectView } from "./client.ts";
import { maxRetries, type Retries, withRecovery } from "./recovery.ts";
import type { ProjectInUse, Run } from "./run.ts";

/** How many names are tried, each taken by another directory, before it is given up. */
const maxNames = 10;

/** Sees to it that there is a project of our directory: a new one, else one of the same directory, else a next name. */
export async function ensureProject(run: Run): Promise<ProjectInUse> {
  const { cwd } = run.request;
  const retries = { left: maxRetries.createProject };
  for (const name of projectNames(run.request.projectName ?? nameOf(cwd), cwd)) {
    // Twice, for one that is deleted between the two requests.
    for (let turn = 1; turn <= 2; turn += 1) {
      const created = await create(run, name, retries);
      if (created !== undefined) return { name: created.name, cwd, created: true, deleted: false };
      const existing = await find(run, name);
      if (existing === undefined) continue;
      if (await isSameFolder(existing.cwd, cwd)) return { name, cwd, created: false, deleted: false };
      break;
    }
  }
  throw new HarnessError(
    "PROJECT_EXISTS",
    `Every name that was tried for a project of ${cwd} is another directory's.`,
    {
      hint: "Give one: --project <name>",
    },
  );
}

/** Undefined when the name is taken. */
async function create(run: Run, name: string, retries: Retries): Promise<ProjectView | undefined> {
  const what = { doing: `create the project ${name}`, retries, expected: ["PROJECT_EXISTS"] };
  try {
    return await withRecovery(run.recovery, what, () => run.client.createProject({ name, cwd: run.request.cwd }));
  } catch (error) {
    if (failedWith(error, "PROJECT_EXISTS")) return undefined;
    throw error;
  }
}

/** Undefined when it has been deleted just now. */
async function find(run: Run, name: string): Promise<ProjectView | undefined> {
  const retries = { left: maxRetries.other };
  const what = { doing: `look at the project ${name}`, retries, expected: ["PROJECT_NOT_FOUND"] };
  try {
    return await withRecovery(run.recovery, what, () => run.client.getProject(name));
  } catch (error) {
    if (failedWith(error, "PROJECT_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** The name of a project that was given none: its directory's, as far as a project may be called so. */
const nameOf = (cwd: string): string =>
  basename(cwd)
    .replaceAll(/[^a-zA-Z0-9_-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 64) || "project";

/** The names to try, in order, the same ones each time: the plain one, then with the directory's hash, then counted. */
export function projectNames(name: string, cwd: string): string[] {
  const hash = createHash("sha256").update(resolve(cwd)).digest("hex").slice(0, 8);
  const suffixes = ["", `-${hash}`, ...Array.from({ length: maxNames - 2 }, (_, at) => `-${hash}-${at + 2}`)];
  return suffixes.map((suffix) => name.slice(0, 64 - suffix.length) + suffix);
}

async function isSameFolder(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map((path) => realpath(path).catch(() => resolve(path))));
  return first === second;
}
