import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { templatePath } from "../shared/paths.ts";

/** The line that hangs our recipes under `agent` in a justfile. */
const moduleLine = "mod agent 'agent.just'";

/** What a repository without a justfile gets, above our line. */
const emptyJustfile = "# List the recipes.\n_default:\n    @just --list\n";

/** A recipe, an alias or another module that has the name already. */
const otherAgent = /^(@?agent(?![\w-])(?!\s*:=)[^\n]*:|(alias|mod\??)\s+agent(?![\w-]))/m;

/**
 * Writes agent.just into a folder and hangs it under `agent` in its justfile, which is made when there is none; every other
 * line stays. Returns the paths that changed. Throws CONFIG_EXISTS where either would take something away.
 */
export async function writeJustRecipes(folder: string, options: { force: boolean }): Promise<string[]> {
  const recipes = join(folder, "agent.just");
  const text = await readFile(templatePath("agent.just"), "utf8");
  const known = await findText(recipes);
  const justfile = await findJustfile(folder);
  const before = (await findText(justfile)) ?? emptyJustfile;
  const hung = before.split(/\r?\n/).includes(moduleLine);
  if (!hung && otherAgent.test(before)) {
    throw new HarnessError("CONFIG_EXISTS", `${justfile} has an \`agent\` of its own.`, {
      hint: "Rename it, then run again: agent-harness init --just",
      leftBehind: "the file as it was",
    });
  }
  if (known !== undefined && known !== text && !options.force) {
    throw new HarnessError("CONFIG_EXISTS", `${recipes} differs from the recipes of this version of agent-harness.`, {
      hint: "Move your changes into the justfile, then run: agent-harness init --just --force",
      leftBehind: "the file as it was",
    });
  }
  if (known !== text) await writeFileAtomic(recipes, text, { mode: 0o644 });
  if (!hung) {
    const whole = `${before.trimEnd()}\n\n# the stacks of coding agents\n${moduleLine}\n`;
    await writeFileAtomic(justfile, whole, { mode: 0o644 });
  }
  return [...(known === text ? [] : [recipes]), ...(hung ? [] : [justfile])];
}

/** The justfile that just would read: it takes any case, and a dot in front; two of them would be an error of just's. */
async function findJustfile(folder: string): Promise<string> {
  const name = (await readdir(folder)).find((entry) => /^\.?justfile$/i.test(entry));
  return name === undefined ? join(folder, "justfile") : await realpath(join(folder, name));
}
