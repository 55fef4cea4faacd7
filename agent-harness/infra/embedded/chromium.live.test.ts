import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium } from "./chromium.ts";

const onLinux = process.platform === "linux" && process.arch === "x64";
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-chromium-"));
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

describe("findChromium", () => {
  it.runIf(onLinux)("unpacks the one of npm once, also when two ask at the same time", async () => {
    const find = () => findChromium({ env: {}, skipSystem: true, folder });
    const [one, two] = await Promise.all([find(), find()]);
    expect(one).toEqual(two);
    expect(one.version).toMatch(/^\d+\./);
    expect(one.path.startsWith(folder)).toBe(true);
    const start = performance.now();
    await find();
    expect(performance.now() - start).toBeLessThan(2000);
    expect(await readdir(folder)).toHaveLength(1);
    const again = await findChromium({ env: { AGENT_HARNESS_CHROMIUM: one.path } });
    expect(again).toEqual({ ...one, source: "AGENT_HARNESS_CHROMIUM" });
  });

  it("takes one from the PATH only when it runs", async () => {
    const bin = join(folder, "bin");
    const path = join(bin, "google-chrome");
    await mkdir(bin);
    await writeFile(join(bin, "chromium"), "#!/bin/sh\necho install the snap\nexit 1\n", { mode: 0o755 });
    await writeFile(path, "#!/bin/sh\necho Google Chrome 150.0.1.2\n", { mode: 0o755 });
    const env = { PATH: bin, HOME: folder };
    expect(await findChromium({ env, folder })).toMatchObject({ path, version: "150.0.1.2", source: "PATH" });
  });

  it("adds the libraries beside it where the machine has none", async () => {
    const libraries = join(folder, "bare", "al2023", "lib");
    await mkdir(libraries, { recursive: true });
    const path = join(folder, "bare", "chromium");
    await writeFile(path, '#!/bin/sh\n[ -n "$LD_LIBRARY_PATH" ] || exit 127\necho Chromium 1.2.3.4\n', { mode: 0o755 });
    const found = await findChromium({ env: { AGENT_HARNESS_CHROMIUM: path } });
    expect(found.env).toEqual({ LD_LIBRARY_PATH: libraries });
  });

  it("refuses a chosen one that does not start", async () => {
    const env = { AGENT_HARNESS_CHROMIUM: "/nowhere/chrome" };
    await expect(findChromium({ env })).rejects.toMatchObject({ code: "BROWSER_NOT_FOUND" });
  });
});
