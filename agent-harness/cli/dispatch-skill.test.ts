import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { providerNames, sessionStatuses } from "../sessions/index.ts";
import { errorCodes } from "../shared/errors.ts";
import { templatePath } from "../shared/paths.ts";
import { openTestApi } from "../testing/api.ts";
import { openApiDouble } from "../testing/api-double.ts";
import { dispatchTo } from "../testing/dispatching.ts";
import { dispatchOptions, inputs, limits } from "./dispatch-inputs.ts";
import { harnessProgram } from "./programs.ts";

/* What the skill file tells coding agents exists, and what they need of it is told. */

let skill: string;
beforeAll(async () => {
  skill = await readFile(templatePath("skills/agent-harness/SKILL.md"), "utf8");
});

const found = (pattern: RegExp): string[] =>
  [...new Set([...skill.matchAll(pattern)].map(([, one = ""]) => one))].sort();

/** What stands under a heading. */
const section = (heading: string): string => skill.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";

const flagOf = (flags: string): string => flags.replace(/ .*/, "");

test("it begins with a name and with when it is of use", () => {
  expect(skill).toMatch(/^---\nname: agent-harness\ndescription: .{50,1024}\n---\n\n# /);
});

test("its commands exist", () => {
  const known = harnessProgram().commands.map(({ usage }) => usage.replace(/ .*/, ""));
  const named = found(/^ {4}agent-harness (\w+)/gm);
  expect(named).toEqual(["dispatch", "serve"]);
  expect(known).toEqual(expect.arrayContaining(named));
});

test("its flags are those of dispatch, all of them", () => {
  const flags = dispatchOptions.map(([flag]) => flagOf(flag)).sort();
  expect(found(/(--[a-z][a-z-]+)/g)).toEqual(flags);
});

test("its variables are those that are read, all of them, beside their flags", () => {
  const rows = [...section("Inputs").matchAll(/^\| (?:`(--[a-z-]+)`[^|]*)?\| `([A-Z_]+)` \|/gm)];
  const told = rows.map(([, flag = "", variable]) => [flag, variable]);
  const read = [
    ...Object.values(inputs).map(([flag, variable]) => [flagOf(flag), variable]),
    ...Object.values(limits).map(([flag]) => [flagOf(flag), "TIMEOUTS"]),
    ["--webhook", "WEBHOOK_MODE"],
    ["", "HARNESS_BEARER_TOKEN"],
  ];
  expect(told.sort()).toEqual(read.sort());
  for (const key of Object.keys(limits)) expect(section("Inputs")).toContain(`{"${key}":`);
});

test("its providers, statuses and error codes exist", () => {
  expect(skill).toContain(`needed: ${providerNames.join(", ")}`);
  expect([...section("Statuses").matchAll(/`(\w+)`/g)].map(([, one]) => one)).toEqual(
    expect.arrayContaining([...sessionStatuses]),
  );
  const codes = found(/`([A-Z]+_[A-Z_]+)`/g).filter((one) => !section("Inputs").includes(one));
  const known = [...Object.keys(errorCodes), "INTERNAL_ERROR"];
  expect(codes.length).toBeGreaterThan(6);
  expect(codes.filter((code) => !known.includes(code))).toEqual([]);
});

test("its routes exist", async () => {
  const { ask } = await openTestApi();
  const { json } = await ask("GET", "/openapi.json");
  const { paths } = json as { paths: Record<string, Record<string, unknown>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const named = found(/`((?:GET|POST|DELETE|PATCH) \/[^`?]*)`/g);
  expect(named.length).toBeGreaterThan(14);
  expect(named.filter((route) => !routes.includes(route))).toEqual([]);
});

describe("the report", () => {
  test("has the fields that it is said to have", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    const report = await dispatchTo(api);
    const fields = (part: object | null | undefined): string[] => Object.keys(part ?? {});
    const known = [
      ...fields(report),
      ...[report.completion, report.project, report.agents[0], report.messages[0], report.timings].flatMap(fields),
      ...["recovered", "messages/last", "messages", "output"],
    ];
    const told = [...section("Reading the report").matchAll(/`([A-Za-z/]+)(?:\[\])?`/g)].map(([, one]) => one);
    expect(told.filter((one) => !known.includes(one ?? ""))).toEqual([]);
    for (const field of ["project", "agents[]", "messages[]", "errors[]", "timings"])
      expect(skill).toContain(`- \`${field}\`:`);
  });
});
