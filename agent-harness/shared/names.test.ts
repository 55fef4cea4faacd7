import { expect, test } from "vitest";
import {
  bucketName,
  databaseName,
  envFileName,
  everyAgentId,
  idOfProcess,
  instructionsFileName,
  isAgentId,
  mailAddress,
  parseAgentId,
  poolPrefix,
  processFileName,
  processName,
  processPrefix,
  scratchDatabaseName,
  slug,
  templateDatabaseName,
} from "./names.ts";

test.each([1, 9, 10, 99, "1", "42", "99"])("%j is an agent id", (id) => {
  expect(parseAgentId(id)).toBe(Number(id));
});

const noIds = [0, 100, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY];
const noIdTexts = [
  "0",
  "100",
  "-1",
  "1.5",
  "1; drop",
  "../1",
  "01",
  " 1",
  "1 ",
  "1\n",
  "",
  "one",
  "1e1",
  "0x1",
  "१",
  "+1",
];

test.each([...noIds, ...noIdTexts])("%j is none, and the message shows it", (id) => {
  expect(() => parseAgentId(id)).toThrow(
    expect.objectContaining({
      code: "AGENT_ID_INVALID",
      message: `An agent id is a whole number from 1 to 99, not ${JSON.stringify(id)}.`,
      hint: expect.stringContaining("agent-harness launch 3"),
    }),
  );
});

test("everything of a stack is named after its id", () => {
  expect([databaseName(7), bucketName(7), mailAddress(7), processName(7, "api")]).toEqual([
    "agent_7",
    "agent-7",
    "agent-7@agent-harness.test",
    "agent-7-api",
  ]);
  expect([envFileName(7), processFileName(7), instructionsFileName(7)]).toEqual([
    ".env.agent.7",
    "ecosystem.agent.7.config.cjs",
    "CLAUDE.agent.7.md",
  ]);
});

test("no name of one agent begins with that of another's processes", () => {
  const prefixes = Array.from({ length: 99 }, (_, at) => processPrefix(at + 1));
  const meeting = prefixes.filter((one) => prefixes.some((other) => other !== one && one.startsWith(other)));
  expect(meeting).toEqual([]);
});

test("a process's name tells whose it is, and another's name does not", () => {
  for (const id of [1, 9, 10, 99]) expect(idOfProcess(processName(id, "api"))).toBe(id);
  const others = ["agent-0-api", "agent-01-api", "agent-100-api", "agent-1", "my-agent-1-api", "infra-s3", ""];
  expect(others.map(idOfProcess)).toEqual(others.map(() => undefined));
});

test("an id from outside is a whole number from 1 to 99, and there is no other", () => {
  expect(everyAgentId).toHaveLength(99);
  expect(everyAgentId.every(isAgentId)).toBe(true);
  expect([0, 100, 1.5, "1", null, undefined].some(isAgentId)).toBe(false);
});

test("database names derived from a fingerprint stay within Postgres's 63 bytes and never meet an agent's", () => {
  const fingerprint = "0123456789abcdef".repeat(4);
  const names = [
    templateDatabaseName(fingerprint),
    poolPrefix(fingerprint),
    scratchDatabaseName(fingerprint, "12ab34cd"),
  ];
  for (const name of names) {
    expect(name.length).toBeLessThan(50);
    expect(name).toMatch(/^ah_[a-z]+_0123456789ab/);
  }
  expect(poolPrefix(fingerprint).startsWith(poolPrefix(""))).toBe(true);
});

test.each([
  ["My Project", "my-project"],
  ["@scope/name", "scope-name"],
  ["--a__b--", "a-b"],
  ["ÜÖ", "project"],
  ["", "project"],
  ["x".repeat(60), "x".repeat(40)],
])("slug of %j is %j", (text, expected) => {
  expect(slug(text)).toBe(expected);
});
