import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ensureSecret, findSecret } from "./secret-file.ts";

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "ah-secret-"));
  onTestFinished(() => rm(made, { recursive: true }));
  return made;
}

test("many that ask at once get the one secret that is kept, and nothing else is left behind", async () => {
  const home = await folder();
  let made = 0;
  const ask = () => ensureSecret(join(home, "token"), () => `secret ${++made}`);
  const all = await Promise.all(Array.from({ length: 20 }, ask));
  expect(new Set(all).size).toBe(1);
  expect(await readdir(home)).toEqual(["token"]);
  expect((await stat(join(home, "token"))).mode & 0o777).toBe(0o600);
  expect(await ask()).toBe(all[0]);
});

test("a secret that others could read is closed to them", async () => {
  const path = join(await folder(), "token");
  await writeFile(path, "abc\n");
  await chmod(path, 0o644);
  expect(await findSecret(path)).toBe("abc");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("where there is none, none is found", async () => {
  expect(await findSecret(join(await folder(), "token"))).toBeUndefined();
});
