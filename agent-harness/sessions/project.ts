import { stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import type { Store, StoredProject } from "../store/index.ts";
import { presentProject } from "./present.ts";
import type { Callback, Project } from "./sessions.ts";

const namePattern = /^[a-zA-Z0-9_-]{1,64}$/;

/** Keeps a project; PROJECT_EXISTS when the name is taken. */
export async function createProject(
  store: Store,
  project: { name: string; cwd: string; stack?: number; callback?: Callback },
): Promise<Project> {
  const { name, cwd } = project;
  if (!namePattern.test(name)) {
    throw new HarnessError(
      "INVALID_REQUEST",
      `A project's name is 1 to 64 letters, digits, - and _, not ${JSON.stringify(name)}.`,
      {
        hint: "Choose another name.",
      },
    );
  }
  await requireFolder(cwd);
  const added = await store.projects.add(project);
  if (added !== undefined) return presentProject(added);
  throw new HarnessError("PROJECT_EXISTS", `There is a project ${name} already.`, {
    hint: "Use it when its cwd is the one you want, else choose another name.",
    context: { project: name },
  });
}

/** The project of a name; PROJECT_NOT_FOUND. */
export async function getProject(store: Pick<Store, "projects">, name: string): Promise<StoredProject> {
  return (await store.projects.find(name)) ?? notFound(name);
}

/** Changes where new sessions of a project run, and who is told. */
export async function changeProject(
  store: Store,
  name: string,
  change: { cwd?: string; callback?: Callback | null },
): Promise<Project> {
  if (change.cwd !== undefined) await requireFolder(change.cwd);
  return presentProject((await store.projects.change(name, change)) ?? notFound(name));
}

/** The error for a project that is not there. */
export function notFound(name: string): never {
  throw new HarnessError("PROJECT_NOT_FOUND", `There is no project ${JSON.stringify(name)}.`, {
    hint: "Create it, or list the projects.",
    context: { project: name },
  });
}

async function requireFolder(cwd: string): Promise<void> {
  const found = isAbsolute(cwd) ? await stat(cwd).catch(() => undefined) : undefined;
  if (found?.isDirectory() === true) return;
  const why = isAbsolute(cwd) ? "is no folder here" : "is not absolute";
  throw new HarnessError("INVALID_REQUEST", `The project's cwd ${JSON.stringify(cwd)} ${why}.`, {
    hint: "Give the absolute path of a folder that is there.",
  });
}
