import { expect, test } from "vitest";
import { infraPorts } from "./settings.ts";

test("the seed's ports, moved by their variables; an empty variable is none", () => {
  expect(infraPorts({})).toEqual({
    postgres: 15432,
    s3: 19000,
    s3Console: 19001,
    browser: 13001,
    mailWeb: 18025,
    mailSmtp: 11025,
  });
  expect(infraPorts({ AGENT_DB_PORT: "5432", AGENT_MAILPIT_SMTP_PORT: "" })).toMatchObject({
    postgres: 5432,
    mailSmtp: 11025,
  });
});

test.each(["0", "65536", "-1", "1.5", "abc", " 80", "0x50", "1e3"])("%j is no port", (value) => {
  expect(() => infraPorts({ AGENT_BROWSER_PORT: value })).toThrow(
    expect.objectContaining({
      code: "CONFIG_INVALID",
      message: `AGENT_BROWSER_PORT is ${JSON.stringify(value)}, which is no port.`,
    }),
  );
});

test("two services cannot have one port", () => {
  expect(() => infraPorts({ AGENT_MINIO_CONSOLE_PORT: "19000" })).toThrow(
    "AGENT_MINIO_CONSOLE_PORT and AGENT_MINIO_PORT are both 19000.",
  );
});
