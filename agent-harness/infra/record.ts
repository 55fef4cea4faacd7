import { z } from "zod";
import { findText, setAside, writeFileAtomic } from "../shared/files.ts";
import type { HomePaths } from "../shared/paths.ts";

const port = z.int().min(1).max(65_535);

const schema = z.object({
  driver: z.enum(["embedded"]),
  ports: z.object({ postgres: port, s3: port, s3Console: port, browser: port, mailWeb: port, mailSmtp: port }),
  startedAt: z.string(),
});

/** What the running infra was started with; there while it is up. */
export type InfraRecord = z.output<typeof schema>;

/** The record of the running infra; undefined when it is down. One that cannot be read is set aside. */
export async function findRecord(paths: HomePaths): Promise<InfraRecord | undefined> {
  const text = await findText(paths.infra);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // `up` finds the running services by asking them, and writes the record anew.
    await setAside(paths.infra);
    return undefined;
  }
}

/** Writes down what infra was started with. */
export async function writeRecord(paths: HomePaths, record: InfraRecord): Promise<void> {
  await writeFileAtomic(paths.infra, `${JSON.stringify(record, null, 2)}\n`);
}
