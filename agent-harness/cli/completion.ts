import { readFile } from "node:fs/promises";
import { templatePath } from "../shared/paths.ts";
import { command } from "./command.ts";
import { quickComplete } from "./complete.ts";
import { shells } from "./completion-data.ts";
import { usage } from "./usage.ts";

/** Prints the script that makes a shell complete the words of these programs; each key asks `complete` below. */
export const completionCommand = (programs: readonly string[]) =>
  command<string>({
    usage: "completion <shell>",
    summary: `print the script that completes ${programs.join(", ")} in bash, zsh or fish: source <(agent-harness completion bash)`,
    ownJson: true,
    run: async ([name = ""]) => {
      const known = shells.find((one) => one === name);
      if (known === undefined) throw usage(`There is no completion for "${name}".`, `Use one of: ${shells.join(", ")}`);
      const text = await readFile(templatePath(`completion.${known}`), "utf8");
      return text.replaceAll("{{programs}}", programs.join(" "));
    },
    text: (script) => script,
  });

export const completeCommand = command<string>({
  usage: "complete [words...]",
  summary: "the words that may stand in the place of the last one; what the completion scripts ask",
  hidden: true,
  ownJson: true,
  run: async (words, _, { env, cwd }) =>
    quickComplete(["complete", "--", ...words.map((word) => word ?? "")], env, cwd) ?? "",
  text: (lines) => lines,
});
