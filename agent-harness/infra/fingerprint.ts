import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { listFiles } from "../shared/globs.ts";

/** What a template database is made from; two projects with the same content share one. */
export interface TemplateSource {
  /** The project's name; part of the fingerprint, so that two projects without inputs do not share by accident. */
  project: string;
  /** The repository's main folder, kept in the stamp: what tells two projects of one name apart. */
  repository: string;
  /** Absolute; the inputs' globs start here. */
  folder: string;
  inputs: readonly string[];
  steps: readonly BuildStep[];
  extensions: readonly string[];
  /** The environment of the build steps when they fill this database. */
  envFor: (database: string) => Record<string, string>;
  /** The program and arguments of a step when it fills this database. */
  argvFor: (step: BuildStep, database: string) => string[];
}

export interface BuildStep {
  /** As the config has them, `{{…}}` and all: what is hashed and shown, since a filled-in one may hold a password. */
  words: string[];
  /** Absolute. */
  cwd: string;
}

/** The fingerprint of a source on one server: 64 hex digits, a hash of the inputs' names and content. */
export async function fingerprintOf(source: TemplateSource, serverMajor: number): Promise<string> {
  const hash = createHash("sha256");
  const add = (...parts: string[]): void => {
    // Length first, so that no two lists of parts can look alike.
    for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`);
  };
  // Its length first too, so that nothing moves from one list into the next unseen.
  const addList = (parts: readonly string[]): void => add(String(parts.length), ...parts);
  add("agent-harness template 2", source.project, String(serverMajor));
  addList([...source.extensions].sort());
  add(String(source.steps.length));
  for (const { words, cwd } of source.steps) {
    addList(words);
    add(relative(source.folder, cwd));
  }
  const files = await listFiles(source.folder, [...source.inputs]);
  if (source.inputs.length > 0 && files.length === 0) {
    throw new HarnessError(
      "CONFIG_INVALID",
      `No file matches database.inputs (${source.inputs.join(", ")}) in ${source.folder}.`,
      {
        hint: "Correct database.inputs in agent-harness.yml; without inputs a changed migration would go unnoticed.",
      },
    );
  }
  for (const file of files) {
    const content = await readFile(join(source.folder, file));
    add(file, createHash("sha256").update(content).digest("hex"));
  }
  return hash.digest("hex");
}
