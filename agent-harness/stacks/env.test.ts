import { describe, expect, test } from "vitest";
import { sampleValues } from "../testing/values.ts";
import { layEnv, processEnv, stackEnv, stackPath, stackPorts } from "./env.ts";

test("each port is its base plus ten times the agent id", () => {
  expect(stackPorts({ api: 8000, frontend: 3000 }, 7)).toEqual({ api: 8070, frontend: 3070 });
  expect(stackPorts({ api: 8000 }, 0)).toEqual({ api: 8000 });
});

describe("the variables of a stack", () => {
  test("have the seed's names by default", () => {
    const env = stackEnv(sampleValues(3), {});
    expect(env).toMatchObject({
      AGENT_ID: "3",
      PORT: "8030",
      API_PORT: "8030",
      FE_PORT: "3030",
      SITE_URL: "http://localhost:3030",
      PGDATABASE: "agent_3",
      S3_BUCKET: "agent-3",
      EMAIL_SMTP_SENDER_EMAIL: "agent-3@agent-harness.test",
      SCHEDULER_ENABLED: "false",
      RUDDERSTACK_ANALYTICS_DISABLED: "true",
      RUDDERSTACK_WRITE_KEY: "",
    });
  });

  test("without a front end the site is the API", () => {
    expect(stackEnv({ ...sampleValues(3), ports: { api: 8030 } }, {})["SITE_URL"]).toBe("http://localhost:8030");
  });

  test("can be changed, taken away, filled in from each other, and overruled by the command line", () => {
    const config = {
      SITE_URL: null,
      SECRET: "{{env.LIGHTDASH_SECRET}}!",
      N: 4,
      ON: true,
      URL: "{{urls.api}}/v{{id}}",
    };
    const env = stackEnv(sampleValues(3), config, { N: "5" });
    expect(env).not.toHaveProperty("SITE_URL");
    expect(env).toMatchObject({ SECRET: "agent-3-secret!", N: "5", ON: "true", URL: "http://localhost:8030/v3" });
  });

  test("of the command line are taken as they are", () => {
    expect(stackEnv(sampleValues(3), {}, { RAW: "{{id}}" })["RAW"]).toBe("{{id}}");
  });

  test("that shells and templates of other kinds would eat survive", () => {
    const value = 'PATH: `${venvBinPath}:$PATH` $(id) & <b> "it\'s"';
    expect(layEnv({}, { V: value, W: `${value}{{id}}` }, sampleValues(3), "env")).toEqual({ V: value, W: `${value}3` });
  });

  test("that cannot be filled in are named by their place", () => {
    expect(() => layEnv({}, { V: "{{nothing}}" }, sampleValues(3), "processes.api.env")).toThrow(
      expect.objectContaining({ code: "TEMPLATE_INVALID", message: expect.stringContaining("processes.api.env.V") }),
    );
  });
});

test("a program sees of the shell only what it needs to run at all", () => {
  const machine = {
    HOME: "/home/me",
    LANG: "C",
    TOKEN: "secret",
    AWS_KEY: "secret",
    PATH: "/mine",
    NODE_OPTIONS: "-r x",
  };
  expect(processEnv({ A: "1", LANG: "de" }, ["/a", "/b"], machine)).toEqual({
    HOME: "/home/me",
    LANG: "de",
    PATH: "/a:/b",
    A: "1",
  });
});

test("programs are looked for in the same places whether npx, npm or a shell started us", () => {
  const shell = ["/home/me/bin", "/usr/bin"];
  const npx = [
    "/home/me/.npm/_npx/1f/node_modules/.bin",
    "/elsewhere/node_modules/.bin/",
    "/usr/lib/node_modules/npm/node_modules/@npmcli/run-script/lib/node-gyp-bin",
    ...shell,
  ];
  const seen = (path: string[]) => stackPath("/project", "/project/web", { PATH: path.join(":") });
  expect(seen(npx)).toEqual(seen(shell));
  expect(seen(npx).slice(0, 4)).toEqual(["/project/web/node_modules/.bin", "/project/node_modules/.bin", ...shell]);
});
