import { access } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import type { HomePaths } from "../../shared/paths.ts";
import type { Endpoint, KnownEngine } from "./endpoint.ts";

/*
 * Which engine this home's volumes are on is remembered when infra is down too: a shell without the DOCKER_HOST of the one
 * that started it would look for them on another engine, find none, and delete the credentials that open them.
 */

const schema = z.object({ engine: z.string(), certFolder: z.string().optional() });

const pathOf = (paths: HomePaths): string => join(paths.compose, "engine.json");

/** Writes down which engine is used. */
export async function rememberEngine(paths: HomePaths, { host, certFolder }: Endpoint): Promise<void> {
  const text = `${JSON.stringify({ engine: host, certFolder })}\n`;
  if ((await findText(pathOf(paths))) !== text) await writeFileAtomic(pathOf(paths), text);
}

/** The engine that was used last; undefined when none was, or when nobody can read which. */
export async function findLastEngine(paths: HomePaths): Promise<KnownEngine | undefined> {
  const text = await findText(pathOf(paths));
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // Then the engine of the environment is asked, as before there was a file.
    return undefined;
  }
}

/** Whether the compose driver was ever started from this home, and may have left containers or volumes. */
export const wasUsed = (paths: HomePaths): Promise<boolean> =>
  access(paths.compose).then(
    () => true,
    () => false,
  );
