import { expect, test } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { planStages } from "./plan.ts";

const plan = (stages: unknown[], fill = (text: string) => text) =>
  planStages(configSchema.parse({ verify: { stages } }).verify, fill, "/project");

test("a line is split into words, and values are filled in afterwards", () => {
  const fill = (text: string): string => text.replaceAll("{{ who }}", `it's "me" $HOME`);
  const [stage] = plan([{ name: "lint", commands: [`echo '{{ who }}' x{{ who }} "a b"`] }], fill);
  expect(stage).toEqual({
    name: "lint",
    full: false,
    heavy: true,
    timeoutMs: 1_800_000,
    commands: [
      {
        type: "run",
        label: `echo it's "me" $HOME xit's "me" $HOME a b`,
        argv: ["echo", `it's "me" $HOME`, `xit's "me" $HOME`, "a b"],
        cwd: "/project",
      },
    ],
  });
});

test("every form of a command", () => {
  const [stage] = plan([
    {
      name: "all",
      full: true,
      timeoutMs: 5,
      inputs: ["src/**"],
      commands: [
        ["tsc", "-p", "a b"],
        { name: "unit", run: "vitest related", cwd: "packages/api", changed: ["**/*.ts"] },
        { run: ["x"], changed: ["a"], since: "origin/main" },
        { http: "http://localhost:8010/health" },
      ],
    },
  ]);
  expect(stage).toMatchObject({ full: true, timeoutMs: 5, inputs: ["src/**"] });
  expect(stage?.commands).toMatchObject([
    { argv: ["tsc", "-p", "a b"], label: "tsc -p a b" },
    { label: "unit", cwd: "/project/packages/api", changed: { globs: ["**/*.ts"], since: "HEAD" } },
    { label: "x", changed: { globs: ["a"], since: "origin/main" } },
    { type: "http", url: "http://localhost:8010/health", label: "GET http://localhost:8010/health" },
  ]);
});

test("what only a shell could do, and two stages of one name, are refused", () => {
  const refused = expect.objectContaining({ code: "CONFIG_INVALID" });
  expect(() => plan([{ name: "a", commands: ["tsc && eslint"] }])).toThrow(refused);
  expect(() => plan([{ name: "a", commands: ["echo 'x"] }])).toThrow(refused);
  expect(() =>
    plan([
      { name: "a", commands: ["x"] },
      { name: "a", commands: ["y"] },
    ]),
  ).toThrow(refused);
});
