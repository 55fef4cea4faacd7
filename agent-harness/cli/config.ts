import { command } from "./command.ts";
import { table } from "./output.ts";
import { openProjectOf } from "./stack-command.ts";

interface ConfigResult {
  path: string;
  name: string;
  values: { key: string; value: unknown; source: string }[];
}

export const configCommand = command<ConfigResult>({
  usage: "config",
  summary: "the effective configuration, and where each value comes from",
  run: async (_, __, context) => {
    const project = await openProjectOf(context);
    return { path: project.path, name: project.name, values: project.explain() };
  },
  text: ({ path, name, values }) =>
    `${name}: ${path}\n${table(
      ["key", "value", "source"],
      values.map((one) => [one.key, one.value, one.source]),
    )}`,
});
