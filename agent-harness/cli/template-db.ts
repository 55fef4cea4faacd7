import {
  dropTemplates,
  readyInfra,
  refill,
  type SetupResult,
  setup,
  type TemplateStatus,
  templateStatus,
} from "../stacks/index.ts";
import { command } from "./command.ts";
import { jsonText, sizeText, table } from "./output.ts";
import { setupText } from "./setup.ts";
import { openProjectOf } from "./stack-command.ts";

function statusTable(all: readonly TemplateStatus[]): string {
  if (all.length === 0) return "There is no template database. Run: agent-harness setup\n";
  const rows = all.map((one) => [
    one.name,
    one.project,
    one.broken ? "broken" : one.current ? "current" : "other",
    one.ready,
    sizeText(one.sizeBytes),
    one.builtAt,
  ]);
  return table(["name", "project", "state", "ready", "size", "built"], rows);
}

export const templateDbStatus = command<TemplateStatus[]>({
  usage: "template-db status",
  summary: "this project's template databases: whether one is current, and how many clones are ready",
  run: async (_, __, context) => {
    const project = await openProjectOf(context);
    const all = await templateStatus(project, await readyInfra(project, context.progress));
    return all.filter((one) => one.own);
  },
  text: statusTable,
});

export const templateDbList = command<TemplateStatus[]>({
  usage: "template-db list",
  summary: "every template database of this machine",
  run: async (_, __, context) => {
    const project = await openProjectOf(context);
    return await templateStatus(project, await readyInfra(project, context.progress));
  },
  text: statusTable,
});

export const templateDbBuild = command<SetupResult>({
  usage: "template-db build",
  summary: "build the template database when the project's files have changed, and fill the pool",
  run: async (_, __, context) => await setup(await openProjectOf(context), context.progress),
  text: setupText,
});

export const templateDbDrop = command<string[]>({
  usage: "template-db drop [name]",
  summary: "drop this project's template databases, or the one named, with their pools; stacks live on",
  run: async ([name], _, context) => {
    const project = await openProjectOf(context);
    return await dropTemplates(project, await readyInfra(project, context.progress), name);
  },
  text: (dropped) => dropped.map((name) => `dropped ${name}\n`).join(""),
});

export const templateDbRefill = command<unknown>({
  usage: "template-db refill",
  summary: "bring the pool to its size and empty the trash; launch starts this by itself",
  hidden: true,
  run: async (_, __, context) => {
    const project = await openProjectOf(context);
    return await refill(project, context.progress);
  },
  text: jsonText,
});
