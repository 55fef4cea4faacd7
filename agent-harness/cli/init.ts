import { writeInitialConfig } from "../shared/config-init.ts";
import { command } from "./command.ts";
import { writeJustRecipes } from "./init-just.ts";

interface InitResult {
  written: string[];
  found: string[];
  /** What to do now. */
  next: string;
}

export const initCommand = command<InitResult>({
  usage: "init",
  summary: "write a commented agent-harness.yml for the repository it stands in",
  options: [
    ["--just", "write agent.just and its line in the justfile instead: all of it as recipes, under `just agent`"],
    ["--force", "replace the agent-harness.yml or agent.just that is there"],
  ],
  run: async (_, options, context) => {
    const force = options["force"] === true;
    if (options["just"] === true) {
      return {
        written: await writeJustRecipes(context.cwd, { force }),
        found: [],
        next: "list the recipes: just agent",
      };
    }
    const { path, found } = await writeInitialConfig(context.cwd, { force });
    return { written: [path], found, next: "look it over, then run: agent-harness setup" };
  },
  text: ({ written, found, next }) =>
    [
      ...(written.length === 0 ? ["Nothing to do: all of it is there."] : written.map((path) => `wrote ${path}`)),
      ...found.map((one) => `  ${one}`),
      `next: ${next}`,
      "",
    ].join("\n"),
});
