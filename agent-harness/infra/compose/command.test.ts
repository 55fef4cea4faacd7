import { chmod, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { homePaths } from "../../shared/paths.ts";
import { refused } from "../../testing/config-folder.ts";
import { askCompose, type ComposeProject, findCompose, isNewEnough, readJsonOutput } from "./command.ts";

describe("readJsonOutput", () => {
  const db = { Name: "agent-infra-db-1", Service: "db", State: "running", Health: "healthy" };
  const mail = { Name: "agent-infra-mailpit-1", Service: "mailpit", State: "exited", Health: "" };
  const lines = `${JSON.stringify(db)}\n${JSON.stringify(mail)}\n`;
  const warning = 'time="2026-01-01T00:00:00Z" level=warning msg="the attribute `version` is obsolete"\n';

  it.each([
    ["an array, as before 2.21", JSON.stringify([db, mail])],
    ["an array over several lines", JSON.stringify([db, mail], null, 2)],
    ["one document a line, as since 2.21", lines],
    ["lines that end as on Windows", lines.replaceAll("\n", "\r\n")],
    ["an array after warnings", `${warning}WARN[0000] something\n${JSON.stringify([db, mail])}\n`],
    ["documents after warnings", `${warning}[warn] something\n${lines}`],
  ])("reads %s", (_, text) => {
    expect(readJsonOutput(text)).toEqual([db, mail]);
  });

  it.each([
    ["nothing", ""],
    ["an empty line", "\n"],
    ["an empty array", "[]\n"],
    ["a warning only", warning],
  ])("reads no document in %s", (_, text) => {
    expect(readJsonOutput(text)).toEqual([]);
  });
});

describe("isNewEnough", () => {
  it.each([
    ["1.29.2", false],
    ["2.16.9", false],
    ["2.17.0", true],
    ["2.26.1", true],
    ["5.0.0", true],
    ["dev", false],
  ])("%s: %s", (version, expected) => {
    expect(isNewEnough(version)).toBe(expected);
  });
});

describe("findCompose", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "ah-compose-")));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A program that prints this, whatever it is asked; with a code it fails. */
  async function plant(name: "docker" | "docker-compose", prints: string, code = 0): Promise<void> {
    const text = `#!/bin/sh\necho '${prints}'${code === 0 ? "" : " >&2"}\nexit ${code}\n`;
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), 0o755);
  }
  const find = () => findCompose({ PATH: folder });

  it("says that there is none, and how to get one", async () => {
    const error = await refused(find());
    expect(error.code).toBe("COMPOSE_MISSING");
    expect(error.message).toBe("Neither `docker compose` nor `docker-compose` works here.");
    expect(error.hint).toContain("apt-get install docker-compose-plugin");
    expect(error.hint).toContain("infra.driver to embedded");
  });

  it("takes the plugin first, then the program by itself", async () => {
    await plant("docker-compose", "v2.20.0");
    expect(await find()).toEqual({ argv: ["docker-compose"], version: "2.20.0" });
    await plant("docker", "2.26.1-4");
    expect(await find()).toEqual({ argv: ["docker", "compose"], version: "2.26.1" });
  });

  it("goes past a docker without the plugin, and past a plugin that is too old", async () => {
    await plant("docker-compose", "v5.6.0");
    await plant("docker", "docker: unknown command: docker compose", 1);
    expect((await find()).argv).toEqual(["docker-compose"]);
    await plant("docker", "2.3.3");
    expect((await find()).argv).toEqual(["docker-compose"]);
  });

  it("names those that are too old, and the oldest that will do", async () => {
    await plant("docker-compose", "1.29.2");
    expect((await refused(find())).message).toBe("docker-compose is 1.29.2: 2.17 is the oldest that will do.");
    await plant("docker", "2.3.3");
    expect((await refused(find())).message).toContain("docker compose is 2.3.3, docker-compose is 1.29.2: 2.17 is");
  });

  it("gives compose's own words where a question to it fails", async () => {
    await plant("docker-compose", "no such service: db", 14);
    const project: ComposeProject = {
      command: { argv: ["docker-compose"], version: "2.26.1" },
      name: "x",
      endpoint: { host: "unix:///x.sock", source: "DOCKER_HOST" },
      paths: homePaths(folder),
      variables: {},
      env: { PATH: folder },
    };
    const error = await refused(askCompose(project, ["ps", "--format", "json"]));
    expect(error.code).toBe("INFRA_DOWN");
    expect(error.message).toBe("docker compose ps failed: no such service: db");
    await plant("docker-compose", '{"Service":"db"}');
    expect(await askCompose(project, ["ps"])).toEqual([{ Service: "db" }]);
  });

  it("names one whose version is a word", async () => {
    await plant("docker-compose", "dev");
    expect((await refused(find())).message).toContain("docker-compose is dev");
  });
});
