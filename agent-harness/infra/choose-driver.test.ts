import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { infraPorts } from "../shared/settings.ts";
import { refused } from "../testing/config-folder.ts";
import { type ChosenDriver, chooseDriver, type DriverQuestion } from "./choose-driver.ts";
import { newRecord } from "./record.ts";
import { type DriverName, serviceIds } from "./services.ts";

/* The choice that needs a Docker engine is in compose/errors.live.test.ts; here none answers. */

let paths: HomePaths;
let nowhere: string;

beforeEach(async () => {
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-choose-")));
  paths = homePaths(home);
  nowhere = `unix://${join(home, "docker.sock")}`;
});
afterEach(() => rm(paths.home, { recursive: true, force: true }));

const record = (driver: DriverName) => newRecord(driver, infraPorts({}));

function question(wanted: "auto" | DriverName, more: Partial<DriverQuestion> = {}): DriverQuestion {
  const config = { ...configSchema.parse({}).infra, driver: wanted };
  const env = { DOCKER_HOST: nowhere, DOCKER_CONFIG: paths.home };
  return { paths, config, env, record: undefined, services: serviceIds, stacks: [], ...more };
}
const choose = (...args: Parameters<typeof question>): Promise<ChosenDriver> => chooseDriver(question(...args));

describe("with living stacks", () => {
  it.each(["compose", "embedded"] as const)("auto, and the same driver by name, keep to their %s", async (driver) => {
    const stacks = [{ id: 3, driver }];
    const chosen = { name: driver, reason: "agent 3 uses it" };
    expect(await choose("auto", { record: record(driver), stacks })).toEqual(chosen);
    expect(await choose(driver, { record: record(driver), stacks })).toEqual(chosen);
    // While infra is down, only their ledgers know.
    expect(await choose("auto", { stacks: [{ id: 1 }, ...stacks] })).toEqual({
      name: driver,
      reason: "agents 1, 3 use it",
    });
  });

  it("another driver is refused, with what to run first", async () => {
    const stacks = [{ id: 3 }, { id: 4, driver: "compose" as const }];
    const error = await refused(choose("embedded", { stacks }));
    expect(error.code).toBe("DRIVER_DIFFERS");
    expect(error.message).toBe(
      "The config wants the driver embedded, but agents 3, 4 live on compose: a database cannot move.",
    );
    expect(error.hint).toContain("agent-harness teardown-all --everywhere");
    expect(error.leftBehind).toContain("nothing was touched");
    expect((await refused(choose("compose", { record: record("embedded"), stacks: [{ id: 7 }] }))).message).toContain(
      "but agent 7 lives on embedded",
    );
  });

  it("that nobody knows the driver of, the config decides", async () => {
    expect((await choose("compose", { stacks: [{ id: 3 }] })).name).toBe("compose");
  });
});

describe("without stacks", () => {
  it("the config's goes before what runs", async () => {
    expect(await choose("compose", { record: record("embedded") })).toEqual({
      name: "compose",
      reason: "the config or the command line says so",
    });
  });

  it.each(["compose", "embedded"] as const)("auto keeps to a %s that its record says runs", async (driver) => {
    expect(await choose("auto", { record: record(driver) })).toEqual({ name: driver, reason: "it runs already" });
  });

  it("auto is embedded, with the reason, where no engine answers", async () => {
    const { name, reason } = await choose("auto");
    expect(name).toBe("embedded");
    expect(reason).toContain(`No Docker engine answers at ${nowhere} (DOCKER_HOST): connect ENOENT`);
    const env = { DOCKER_HOST: "ssh://far", DOCKER_CONFIG: paths.home };
    expect((await choose("auto", { env })).reason).toContain("The Docker engine of DOCKER_HOST is ssh://far");
  });
});
