import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { copyObjects } from "./snapshot-objects.ts";

/** A client whose copies are counted, and fail as told. */
function client(keys: readonly string[], fails: (key: string) => string | undefined = () => undefined) {
  const seen = { now: 0, most: 0, copied: [] as string[], sources: [] as string[] };
  const s3 = {
    async *listObjects() {
      for (const name of keys) yield { name, size: name.length };
    },
    copyObject: async (_: string, key: string, source: string) => {
      seen.now += 1;
      seen.most = Math.max(seen.most, seen.now);
      await turn();
      seen.now -= 1;
      const code = fails(key);
      if (code !== undefined) throw Object.assign(new Error(code), { code });
      seen.copied.push(key);
      seen.sources.push(source);
    },
  };
  return { s3, seen };
}

const options = { from: "a", to: "b", live: false, leaveOut: (key: string) => key === ".stamp" };
const many = Array.from({ length: 100 }, (_, at) => `k${String(at).padStart(2, "0")}`);

test("all but the stamp are copied, many at a time, and counted", async () => {
  const { s3, seen } = client([...many, ".stamp"]);
  expect(await copyObjects(s3, options)).toEqual({ objects: 100, objectBytes: 300 });
  expect(seen.copied.sort()).toEqual(many);
  expect(seen.sources).toContain("/a/k07");
  expect(seen.most).toBe(16);
});

test("one that fails ends it when the others that are under way have ended", async () => {
  const { s3, seen } = client(many, (key) => (key === "k20" ? "AccessDenied" : undefined));
  await expect(copyObjects(s3, options)).rejects.toMatchObject({ code: "AccessDenied" });
  expect(seen.now).toBe(0);
  expect(seen.copied.length).toBeLessThan(60);
});

test("what is deleted meanwhile is passed over in a bucket that lives, and missed in one that does not", async () => {
  const gone = (key: string) => (key === "k50" ? "NoSuchKey" : undefined);
  const { objects } = await copyObjects(client(many, gone).s3, { ...options, live: true });
  expect(objects).toBe(99);
  await expect(copyObjects(client(many, gone).s3, options)).rejects.toMatchObject({ code: "NoSuchKey" });
});
