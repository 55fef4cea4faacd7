import { openBuckets } from "../../infra/index.ts";
import { bucketName } from "../../shared/names.ts";
import { entryOf, type Resource, type StackContext } from "../resource.ts";

/** The agent's own bucket. */
export const bucket: Resource = {
  kind: "bucket",

  ensure: async ({ infra, ledger }) => {
    const name = bucketName(ledger.id);
    await openBuckets(infra.s3).ensure(name, { machine: infra.machine, kind: "agent", id: ledger.id });
    return { name };
  },

  destroy: async (context) => {
    if (await isOurs(context)) await openBuckets(context.infra.s3).remove(bucketName(context.ledger.id));
  },

  exists: async (context) => ((await isOurs(context)) ? `the bucket ${bucketName(context.ledger.id)}` : undefined),
};

async function isOurs({ infra, ledger }: StackContext): Promise<boolean> {
  const name = bucketName(ledger.id);
  const buckets = openBuckets(infra.s3);
  const marker = await buckets.marker(name);
  if (marker !== undefined) return marker["machine"] === infra.machine && marker["id"] === ledger.id;
  // What a command that was killed between the bucket and its stamp left; there is nothing in it to lose.
  return entryOf(ledger, "bucket") !== undefined && (await buckets.isBare(name));
}
