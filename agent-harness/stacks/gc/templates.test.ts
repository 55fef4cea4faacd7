import { expect, test } from "vitest";
import type { Stamp } from "../../infra/index.ts";
import { chooseUnused } from "./templates.ts";

const stamp = (fingerprint: string, repository = "/r", project = "p"): Stamp => ({
  machine: "m",
  kind: "template",
  fingerprint,
  project,
  repository,
});

const chosen = (templates: readonly Stamp[], wanted: string[] = [], unknown: string[] = []): string[] =>
  chooseUnused(templates, new Set(wanted), new Set(unknown)).map((one) => one.fingerprint);

test("the newest of each project in each repository stays", () => {
  expect(chosen([stamp("c"), stamp("b"), stamp("a")])).toEqual(["b", "a"]);
  expect(chosen([stamp("c"), stamp("b", "/other"), stamp("a", "/r", "q")])).toEqual([]);
  expect(chosen([])).toEqual([]);
});

test("one that is wanted stays, and all of a project of which nobody knows what it wants", () => {
  expect(chosen([stamp("c"), stamp("b"), stamp("a")], ["a"])).toEqual(["b"]);
  const all = [stamp("c"), stamp("b"), stamp("e", "/other"), stamp("d", "/other")];
  expect(chosen(all, [], [JSON.stringify(["p", "/r"])])).toEqual(["d"]);
});

test("one of an earlier version, whose stamp names no repository, is its own project's", () => {
  const { repository: _, ...old } = stamp("a");
  expect(chosen([stamp("c"), old])).toEqual([]);
});
