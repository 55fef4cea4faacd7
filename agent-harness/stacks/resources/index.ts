import type { Resource } from "../resource.ts";
import { afterClone } from "./after-clone.ts";
import { bucket } from "./bucket.ts";
import { database } from "./database.ts";
import { envFile, instructions, processFile } from "./files.ts";
import { install } from "./install.ts";
import { mailbox } from "./mailbox.ts";
import { ports } from "./ports.ts";
import { processes } from "./processes.ts";
import { worktree } from "./worktree.ts";

/**
 * Everything a stack has, in the order in which it is made; what stands in one group is made together. There is no second
 * list.
 */
export const resourceGroups: readonly (readonly Resource[])[] = [
  [ports],
  [worktree],
  // An install may take a minute; the rest of its group is done meanwhile.
  [install, database, bucket, mailbox],
  // One after the other: each sees to it that git leaves its file alone, in one file of git's.
  [envFile],
  [instructions],
  [processFile],
  [afterClone],
  [processes],
];

/** The same, one after the other. */
export const resources: readonly Resource[] = resourceGroups.flat();
