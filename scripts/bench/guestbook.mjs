// The application that the benches launch: a copy of the guestbook in a git repository of its own.
import { cp, readdir, symlink } from "node:fs/promises";
import { get } from "node:http";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { repository, say } from "./bench.mjs";

/** Copies the guestbook into the bench's folder, brings up infra and fills the pool. */
export async function setupGuestbook(bench) {
  const folder = await copyGuestbook(bench);
  say("setup: infra, and the template database of the guestbook");
  await bench.harness(folder, "setup");
  return folder;
}

/** Copies the guestbook into the bench's folder; its packages are linked. */
export async function copyGuestbook(bench) {
  const folder = join(bench.root, "guestbook");
  const source = join(repository, "examples", "guestbook");
  await cp(source, folder, {
    recursive: true,
    filter: (path) => basename(path) !== "node_modules" && !/agent\.\d+/.test(path),
  });
  const linked = ["", ...(await readdir(join(source, "packages"))).map((name) => join("packages", name))];
  for (const part of linked) await symlink(join(source, part, "node_modules"), join(folder, part, "node_modules"));
  await bench.run(["git", "init", "--quiet", folder]);
  return folder;
}

/** Asks a URL every few ms until it answers 200; returns the time on our clock at which it did. */
export async function whenHealthy(url) {
  const end = performance.now() + 60_000;
  while ((await statusOf(url)) !== 200) {
    if (performance.now() > end) throw new Error(`not healthy within 60 s: ${url}`);
    await delay(5);
  }
  return performance.now();
}

/** The status that a URL answers, asked on a connection of its own; undefined when there is no answer. */
export function statusOf(url) {
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    });
    request.once("error", () => resolve(undefined));
  });
}

export const healthPath = "/api/v1/health";
