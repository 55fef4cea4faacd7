import { describe, expect, it } from "vitest";
import { infraPorts } from "../../shared/settings.ts";
import { freePorts } from "../../testing/ports.ts";
import { serviceIds } from "../services.ts";
import type { ContainerFacts, Engine } from "./engine.ts";
import { explainUp, type Starting } from "./explain.ts";

/* Texts of compose that a real engine does not give on demand; errors.live.test.ts has the others. */

const images = { postgres: "db:17", s3: "minio:1", browser: "browser:2", mail: "mail:3" };
const settings = { project: "x", engine: "unix:///x.sock", images, browserNetwork: "host" } as const;

const container = (service: string, state: string): ContainerFacts => ({
  id: service,
  name: `x-${service}-1`,
  service,
  image: "any:1",
  state,
  labels: {},
});

/** An engine with these containers, none of which was ever started, and nothing that publishes a port. */
function startingOn(containers: ContainerFacts[], ports = infraPorts({})): Starting {
  const engine: Pick<Engine, "containers" | "findPublisher" | "inspect"> = {
    containers: async () => containers,
    findPublisher: async () => undefined,
    inspect: async () => ({ State: { Status: "created", Running: false, Restarting: false, Error: "" } }) as never,
  };
  return { engine: engine as Engine, settings, ports, ids: serviceIds };
}

const progress = [" Container x-db-1  Creating", " Container x-db-1  Created", " Network x_default  Created"];

describe("explainUp", () => {
  const both = [container("db", "running"), container("mailpit", "created")];

  it("names the port that the engine found taken, though nobody holds it any more", async () => {
    const [port = 0] = await freePorts(1);
    const starting = startingOn(both, { ...infraPorts({}), mailWeb: port });
    const text = `Error response from daemon: driver failed programming external connectivity on endpoint x-mailpit-1 (5f2): Bind for 127.0.0.1:${port} failed: port is already allocated`;
    const error = await explainUp(starting, { failed: ["mail"], tail: [...progress, text] });
    expect(error.code).toBe("PORT_TAKEN");
    expect(error.message).toContain(
      `Port ${port} (AGENT_MAILPIT_WEB_PORT) is in use by something that has let it go since.`,
    );
    expect(error.hint).toContain("Run the same command again");
    expect(error.leftBehind).toBe("running: x-db-1; created: x-mailpit-1; all data, as it was");
  });

  it.each([
    "Error response from daemon: No such image: mail:3",
    "Error response from daemon: pull access denied for mail:3, repository does not exist or may require 'docker login'",
    'Error response from daemon: failed to resolve reference "docker.io/library/mail:3": not found',
  ])("names the image that went away meanwhile: %s", async (text) => {
    const error = await explainUp(startingOn(both), { failed: [], tail: [...progress, text] });
    expect(error.code).toBe("IMAGE_UNAVAILABLE");
    expect(error.message).toContain("The image mail:3 of mail cannot be pulled");
    expect(error.message).toContain(text);
  });

  it("names the container that somebody made by hand meanwhile", async () => {
    const text =
      'Error response from daemon: Conflict. The container name "/x-db-1" is already in use by container "fbe85e89". You have to remove (or rename) that container to be able to reuse that name.';
    const error = await explainUp(startingOn([]), { failed: [], tail: [text] });
    expect(error.code).toBe("NAME_FOREIGN");
    expect(error.message).toBe("There is a container x-db-1 already, which is not ours.");
    expect(error.hint).toContain("docker rm --force x-db-1");
  });

  it("gives compose's own words where it knows no better, and blames no service that was never started", async () => {
    const text = "Error response from daemon: all predefined address pools have been fully subnetted";
    const error = await explainUp(startingOn(both), { failed: ["mail"], tail: [...progress, text] });
    expect(error.code).toBe("INFRA_DOWN");
    expect(error.message).toBe(`docker compose could not start the services. Its last lines:\n${text}`);
    expect(error.hint).toContain("agent-harness infra up");
    const silent = await explainUp(startingOn(both), { failed: [], tail: progress });
    expect(silent.message).toContain("Container x-db-1  Created");
  });
});
