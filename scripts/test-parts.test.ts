import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findMarked, killAll } from "../agent-harness/shared/process-tree.ts";
import { until } from "../agent-harness/testing/until.ts";

/* scripts/test-parts.sh with a docker command and an image folder that only write down what is asked of them. */

const parts = fileURLToPath(new URL("test-parts.sh", import.meta.url));
let root: string;
let images: string;
let child: ChildProcess;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "ah-parts-")));
  images = join(root, "images");
  await mkdir(images);
  await mkdir(join(root, "tmp"));
  await program("bin/docker", `[ -e "${root}/engine" ]`);
  await program("images/up", `echo "up: starting" >&2; touch "${root}/engine"; echo AGENT_DB_IMAGE=fake:1`);
  await program("images/down", `rm "${root}/engine"`);
  await mkdir(join(root, "scripts"));
  await writeFile(join(root, "scripts/docker-ready.mjs"), "export const sayDocker = () => console.error('looked');\n");
});
afterEach(async () => {
  // Nothing, unless a test failed.
  await killAll(await running());
  await rm(root, { recursive: true, force: true });
});

async function program(name: string, line: string): Promise<void> {
  await mkdir(join(root, name, ".."), { recursive: true });
  await writeFile(join(root, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
}

const engineRuns = (): boolean => existsSync(join(root, "engine"));
/** Whatever runs with our home: the script and all that it started. */
const running = () => findMarked("HOME", root);

/** Runs what scripts/test does around its tests, which here are one shell command. */
function start(tests: string, env: NodeJS.ProcessEnv = {}): { ended: Promise<[number | null]>; said: string[] } {
  const script = `set -euo pipefail; say() { echo "==> $*" >&2; }; counted=yes; . "${parts}"
    open_folder; trap close_all EXIT; trap 'exit 143' TERM; trap 'exit 130' INT
    open_docker; run sh -c ${JSON.stringify(tests)}`;
  const base = { PATH: `${root}/bin:${process.env["PATH"]}`, HOME: root, TMPDIR: join(root, "tmp") };
  const said: string[] = [];
  child = spawn("bash", ["-c", script], {
    cwd: root,
    env: { ...base, HARNESS_TEST_IMAGES: images, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data: Buffer) => said.push(data.toString()));
  return { ended: once(child, "close") as Promise<[number | null]>, said };
}

async function nothingIsLeft(): Promise<void> {
  await until("all that it started to end", async () => (await running()).length === 0);
  expect(await readdir(join(root, "tmp"))).toEqual([]);
}

describe("the engine of the tests", () => {
  test("is started, gives its variables, and is stopped at the end", async () => {
    const { ended, said } = start(`echo image \\$AGENT_DB_IMAGE; ls ${root}`);
    expect(await ended).toEqual([0, null]);
    expect(said.join("")).toMatch(/up: starting.*looked.*image fake:1\n.*engine\n.*==> Docker engine: .*down/s);
    expect(engineRuns()).toBe(false);
    await nothingIsLeft();
  });

  test("is left alone when it answered before", async () => {
    await writeFile(join(root, "engine"), "");
    const { ended, said } = start("echo image \\$AGENT_DB_IMAGE");
    expect(await ended).toEqual([0, null]);
    expect(said.join("")).toContain("image fake:1");
    expect(said.join("")).not.toContain("/down");
    expect(engineRuns()).toBe(true);
    await nothingIsLeft();
  });

  test("that cannot be had is named with the reason, and the tests go on", async () => {
    await program("images/up", `touch "${root}/engine"; echo "go is missing" >&2; exit 6`);
    const { ended, said } = start("echo image \\${AGENT_DB_IMAGE:-none}");
    expect(await ended).toEqual([0, null]);
    expect(said.join("")).toContain(`==> ${images}/up failed: go is missing\n`);
    expect(said.join("")).toContain("image none\n");
    // It may have got as far as starting one.
    expect(engineRuns()).toBe(false);
    await nothingIsLeft();
  });

  test("is none of ours where no such folder is", async () => {
    const { ended, said } = start("true", { HARNESS_TEST_IMAGES: "" });
    expect(await ended).toEqual([0, null]);
    expect(said.join("")).toBe("looked\n");
    expect(engineRuns()).toBe(false);
    await nothingIsLeft();
  });
});

describe("an interruption", () => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s during the tests ends them and the engine", async (signal, code) => {
    const { ended, said } = start("sleep 1000 & echo begun; sleep 1000");
    await until("the tests to run", () => said.join("").includes("begun"));
    child.kill(signal);
    expect(await ended).toEqual([code, null]);
    expect(engineRuns()).toBe(false);
    await nothingIsLeft();
  });

  test("during up ends it, all that it runs, and the engine", async () => {
    await program("images/up", `touch "${root}/engine"; sleep 1000 & echo "up: building" >&2; sleep 1000`);
    const { ended, said } = start("true");
    await until("up to run", () => said.join("").includes("building"));
    child.kill("SIGTERM");
    expect(await ended).toEqual([143, null]);
    expect(engineRuns()).toBe(false);
    await nothingIsLeft();
  });

  test("the exit code of the tests is kept", async () => {
    const { ended } = start("exit 7");
    expect(await ended).toEqual([7, null]);
    await nothingIsLeft();
  });
});
