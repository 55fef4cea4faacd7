import type { Resource } from "../resource.ts";
import { afterClone } from "./after-clone.ts";
import { bucket } from "./bucket.ts";
import { database } from "./database.ts";
import { envFile, instructions, processFile } from "./files.ts";
import { mailbox } from "./mailbox.ts";
import { ports } from "./ports.ts";
import { processes } from "./processes.ts";

/** Everything a stack has, in the order in which it is made. There is no second list. */
export const resources: readonly Resource[] = [
  ports,
  database,
  bucket,
  mailbox,
  envFile,
  instructions,
  processFile,
  afterClone,
  processes,
];
