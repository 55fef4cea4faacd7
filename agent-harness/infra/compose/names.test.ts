import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { templatePath } from "../../shared/paths.ts";
import { serviceIds } from "../services.ts";
import { composeNames, containerNames, findServiceId, volumeNames } from "./names.ts";

it("knows every volume of the compose file", async () => {
  const file = parse(await readFile(templatePath("docker-compose.agent.yml"), "utf8"), { merge: true });
  const names = Object.keys(file.volumes).map((name) => `x_${name}`);
  expect(volumeNames("x").sort()).toEqual(names.sort());
});

it("leads from the names of the compose file back to services, and from others to none", () => {
  for (const id of serviceIds) expect(findServiceId(composeNames[id])).toBe(id);
  expect(findServiceId("redis")).toBeUndefined();
  expect(containerNames("x")).toContain("x-headless-browser-1");
});
