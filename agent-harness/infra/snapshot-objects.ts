import { errorNumber } from "../shared/errors.ts";

/** How many objects are copied at a time. */
const lanes = 16;

/** What copying needs of an S3 client. */
interface CopyClient {
  /** By the first version of the protocol: the client reads the keys of the second one as numbers where it can (`007`). */
  listObjects(bucket: string, prefix: string, recursive: boolean): AsyncIterable<{ name?: string; size?: number }>;
  copyObject(bucket: string, key: string, source: string): Promise<unknown>;
}

export interface CopyObjectsOptions {
  from: string;
  to: string;
  /** Whether somebody may delete objects meanwhile; they are passed over then. */
  live: boolean;
  leaveOut: (key: string) => boolean;
}

/** What was copied. */
export interface Copied {
  objects: number;
  objectBytes: number;
}

/** Copies the objects of a bucket into another one, with their metadata, on the server: no byte comes to us. */
export async function copyObjects(s3: CopyClient, { from, to, live, leaveOut }: CopyObjectsOptions): Promise<Copied> {
  const copied: Copied = { objects: 0, objectBytes: 0 };
  const copy = async (key: string, size: number): Promise<void> => {
    try {
      await s3.copyObject(to, key, `/${from}/${key}`);
    } catch (error) {
      if (live && errorNumber(error) === "NoSuchKey") return;
      throw error;
    }
    copied.objects += 1;
    copied.objectBytes += size;
  };
  // Listed to the end first: what somebody adds meanwhile would make a list that never ends.
  const items: { name: string; size: number }[] = [];
  for await (const { name, size = 0 } of s3.listObjects(from, "", true)) {
    if (name !== undefined && !leaveOut(name)) items.push({ name, size });
  }
  let failed = false;
  let at = 0;
  const lane = async (): Promise<void> => {
    for (let item = items[at++]; item !== undefined && !failed; item = items[at++]) await copy(item.name, item.size);
  };
  const guarded = (): Promise<void> =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    });
  // To their end, whatever becomes of one: nothing may go on copying into what is cleared up by then.
  const ends = await Promise.allSettled(Array.from({ length: lanes }, guarded));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return copied;
}
