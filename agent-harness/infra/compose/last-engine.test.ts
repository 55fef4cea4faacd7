import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { homePaths } from "../../shared/paths.ts";
import { findLastEngine, rememberEngine, wasUsed } from "./last-engine.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-engine-"));
});
afterEach(async () => await rm(home, { recursive: true, force: true }));

test("the engine that was used is known without the shell that named it", async () => {
  const paths = homePaths(home);
  expect(await wasUsed(paths)).toBe(false);
  expect(await findLastEngine(paths)).toBeUndefined();
  await rememberEngine(paths, { host: "unix:///run/one.sock", source: "DOCKER_HOST" });
  expect(await findLastEngine(paths)).toEqual({ engine: "unix:///run/one.sock" });
  await rememberEngine(paths, { host: "tcp://127.0.0.1:2376", source: "DOCKER_HOST", certFolder: "/certs" });
  expect(await findLastEngine(paths)).toEqual({ engine: "tcp://127.0.0.1:2376", certFolder: "/certs" });
  expect(await wasUsed(paths)).toBe(true);
});

test("what cannot be read names no engine", async () => {
  const paths = homePaths(home);
  await rememberEngine(paths, { host: "unix:///run/one.sock", source: "DOCKER_HOST" });
  await writeFile(join(paths.compose, "engine.json"), '{"engine": 3');
  expect(await findLastEngine(paths)).toBeUndefined();
});
