import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { loadConfig } from "../shared/config.ts";
import { HarnessError } from "../shared/errors.ts";

/** A folder for the config files of one test file, new for each test. */
export interface ConfigFolder {
  root: () => string;
  plant: (files: Record<string, string>) => Promise<void>;
  /** What is wrong with a config of this text, a line each, without the indent. */
  problems: (text: string, overrides?: string, env?: Record<string, string>) => Promise<string[]>;
}

/** Call it once at the top of a test file. */
export function useConfigFolder(): ConfigFolder {
  let root = "";
  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "ah-config-")));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));
  const plant = async (files: Record<string, string>): Promise<void> => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), text);
    }
  };
  const problems: ConfigFolder["problems"] = async (text, overrides, env = {}) => {
    await plant({
      "agent-harness.yml": text,
      ...(overrides === undefined ? {} : { ".env.agent-harness": overrides }),
    });
    const error = await refused(loadConfig({ cwd: root, env }));
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.message.split("\n")[0]).toContain(join(root, "agent-harness.yml"));
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  };
  return { root: () => root, plant, problems };
}

/** The error that this ends in. */
export async function refused(run: Promise<unknown>): Promise<HarnessError> {
  try {
    await run;
  } catch (error) {
    if (error instanceof HarnessError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
