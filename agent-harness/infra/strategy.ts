import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CloneStrategy } from "./databases.ts";
import type { Sql } from "./sql.ts";

/** Below this a copy through the write-ahead log is faster, where fsync is on (docs/adr/0007). */
const smallTemplateBytes = 64 * 1024 * 1024;

export interface ChosenStrategy {
  strategy: CloneStrategy;
  /** Why, for people. */
  reason: string;
}

export interface ServerFacts {
  /** 18 for 18.4. */
  major: number;
  fsync: boolean;
  /** Whether the file system of the data folder can share blocks between copies; false when it cannot be asked. */
  reflink: boolean;
}

/** Asks the server; `reflink` is what canReflink said of its data folder. */
export async function readServerFacts(sql: Sql, reflink: boolean): Promise<ServerFacts> {
  const { rows } = await sql.query(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync",
  );
  return {
    major: Math.floor(Number(rows[0]?.["version"]) / 10_000),
    fsync: rows[0]?.["fsync"] === "on",
    reflink,
  };
}

/** Whether copies in this folder can share their blocks, tried with a file. */
export async function canReflink(folder: string): Promise<boolean> {
  const from = join(folder, `.reflink-probe-${randomBytes(6).toString("hex")}`);
  try {
    await writeFile(from, "probe");
    await copyFile(from, `${from}.copy`, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    // "Not supported" comes in as many codes as there are file systems; whatever it is, no reflink.
    return false;
  } finally {
    await rm(from, { force: true });
    await rm(`${from}.copy`, { force: true });
  }
}

/** The fastest way to copy a template database of this size on this server. */
export function chooseStrategy(facts: ServerFacts, sizeBytes: number, wanted: CloneStrategy | "auto"): ChosenStrategy {
  if (wanted === "clone" && facts.major < 18) {
    return {
      strategy: "file_copy",
      reason: `clone is configured, but Postgres ${facts.major} has no file_copy_method`,
    };
  }
  if (wanted !== "auto") return { strategy: wanted, reason: "configured" };
  if (facts.major >= 18 && facts.reflink) {
    return { strategy: "clone", reason: `Postgres ${facts.major} on a file system with reflinks` };
  }
  if (!facts.fsync) return { strategy: "file_copy", reason: "fsync is off" };
  const size = `${Math.round(sizeBytes / 1024 / 1024)} MB`;
  return sizeBytes < smallTemplateBytes
    ? { strategy: "wal_log", reason: `no reflinks, fsync is on, and the template database is small (${size})` }
    : { strategy: "file_copy", reason: `no reflinks, and the template database is large (${size})` };
}
