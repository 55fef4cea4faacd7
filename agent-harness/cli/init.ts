import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeInitialConfig } from "../shared/config-init.ts";
import { HarnessError } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { templatePath } from "../shared/paths.ts";
import { command } from "./command.ts";

interface InitResult {
  written: string[];
  found: string[];
}

export const initCommand = command<InitResult>({
  usage: "init",
  summary: "write a commented agent-harness.yml for the repository it stands in",
  options: [
    ["--just", "also write the just recipes into this repository's justfile"],
    ["--force", "replace an agent-harness.yml that is there"],
  ],
  run: async (_, options, context) => {
    if (options["just"] === true) return await initJust(context.cwd);
    const { path, found } = await writeInitialConfig(context.cwd, { force: options["force"] === true });
    return { written: [path], found };
  },
  text: ({ written, found }) =>
    [
      ...written.map((path) => `wrote ${path}`),
      ...found.map((one) => `  ${one}`),
      "next: look it over, then run: agent-harness setup",
      "",
    ].join("\n"),
});

/** The line that hangs our recipes under `agent` in a justfile. */
const moduleLine = "mod agent 'agent.just'";

/** Writes agent.just, and hangs it under `agent` in the repository's justfile (made when there is none). */
async function initJust(folder: string): Promise<InitResult> {
  const recipes = join(folder, "agent.just");
  const text = await readFile(templatePath("agent.just"), "utf8");
  const known = await findText(recipes);
  if (known !== undefined && known !== text) {
    throw new HarnessError("CONFIG_EXISTS", `${recipes} exists and was changed by hand.`, {
      hint: "Move it away, then run again: agent-harness init --just",
      leftBehind: "the file as it was",
    });
  }
  await writeFileAtomic(recipes, text, { mode: 0o644 });
  const justfile = join(folder, "justfile");
  const before = (await findText(justfile)) ?? "# List the recipes.\n_default:\n    @just --list\n";
  if (!before.split("\n").includes(moduleLine)) {
    await writeFileAtomic(justfile, `${before.trimEnd()}\n\n# the stacks of coding agents\n${moduleLine}\n`, {
      mode: 0o644,
    });
  }
  return { written: [recipes, justfile], found: ["try: just agent"] };
}
