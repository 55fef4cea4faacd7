import { describe, expect, it } from "vitest";
import { refused } from "../../testing/config-folder.ts";
import { agreeOnCompose, type ComposeSettings } from "./agree.ts";

/* What can be said without asking an engine; the rest is in errors.live.test.ts. */

const owner = { machine: "m-test", paths: { home: "/home/of/tests" } };
const known: ComposeSettings = {
  project: "agent-infra",
  engine: "unix:///one.sock",
  images: { postgres: "db:1", s3: "minio:1", browser: "browser:1", mail: "mail:1" },
  browserNetwork: "host",
};
const env = (more: Record<string, string> = {}) => ({ DOCKER_CONFIG: "/nowhere", ...more });

describe("agreeOnCompose", () => {
  it("keeps what infra runs with where no variable says otherwise", async () => {
    expect(await agreeOnCompose(known, env(), owner)).toEqual(known);
    expect(await agreeOnCompose(known, env({ AGENT_COMPOSE_PROJECT: "agent-infra" }), owner)).toEqual(known);
    expect(await agreeOnCompose(known, env({ DOCKER_HOST: "unix:///one.sock" }), owner)).toEqual(known);
  });

  it("takes the images of the variables, each by itself", async () => {
    const { images } = await agreeOnCompose(known, env({ AGENT_MAIL_IMAGE: "mail:2" }), owner);
    expect(images).toEqual({ ...known.images, mail: "mail:2" });
  });

  it("refuses another engine or project than those that infra runs in", async () => {
    const other = env({ DOCKER_HOST: "unix:///two.sock", AGENT_COMPOSE_PROJECT: "two" });
    const error = await refused(agreeOnCompose(known, other, owner));
    expect(error.code).toBe("ENGINE_DIFFERS");
    expect(error.message).toBe(
      "Infra runs elsewhere: AGENT_COMPOSE_PROJECT is two, not agent-infra; the Docker engine is unix:///two.sock, not unix:///one.sock.",
    );
    expect(error.hint).toContain("agent-harness infra down");
    expect(error.leftBehind).toContain("nothing was touched");
  });

  it.each(["Agent", "-agent", "agent infra", "agent.infra", "ägent"])(
    "refuses the project name %j, as compose does",
    async (name) => {
      const error = await refused(agreeOnCompose(undefined, env({ AGENT_COMPOSE_PROJECT: name }), owner));
      expect(error.code).toBe("CONFIG_INVALID");
      expect(error.message).toContain(`AGENT_COMPOSE_PROJECT is ${JSON.stringify(name)}, which compose refuses`);
    },
  );
});
