import { type BucketMarker, type Buckets, checkService, openBuckets } from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { bucketName, isAgentId } from "../../shared/names.ts";
import { contextOfNobody, entryOf, type MarkedThing, type Resource, type StackContext } from "../resource.ts";

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

  listMarked: async (search) => {
    const buckets = openBuckets(search.infra.s3);
    // Its client would wait for ever for somebody who took the port and says nothing.
    const { healthy, detail } = await checkService(search.infra, "s3");
    if (!healthy) throw new HarnessError("S3_UNAVAILABLE", detail, { hint: "Run: agent-harness infra up" });
    const names = (await buckets.list()).filter((name) => name.startsWith("agent-"));
    const found: MarkedThing[] = [];
    for (const name of names) {
      const marker = await findMarker(buckets, name);
      const id = marker?.["id"];
      if (marker?.["machine"] !== search.infra.machine || marker["kind"] !== "agent" || !isAgentId(id)) continue;
      // A copy of the marker in a bucket of another name: somebody copied the bucket.
      if (name === bucketName(id)) found.push({ name, id, remove: () => bucket.destroy(contextOfNobody(search, id)) });
    }
    return found;
  },
};

/** The stamp of a bucket; undefined also for one of somebody else's that we may not read. */
async function findMarker(buckets: Buckets, name: string): Promise<BucketMarker | undefined> {
  try {
    return await buckets.marker(name);
  } catch (error) {
    if (error instanceof HarnessError && error.context["code"] === "AccessDenied") return undefined;
    throw error;
  }
}

async function isOurs({ infra, ledger }: StackContext): Promise<boolean> {
  const name = bucketName(ledger.id);
  const buckets = openBuckets(infra.s3);
  const marker = await buckets.marker(name);
  if (marker !== undefined) return marker["machine"] === infra.machine && marker["id"] === ledger.id;
  // What a command that was killed between the bucket and its stamp left; there is nothing in it to lose.
  return entryOf(ledger, "bucket") !== undefined && (await buckets.isBare(name));
}
