import { execFile } from "node:child_process";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { infraPorts } from "../../shared/settings.ts";
import { refused } from "../../testing/config-folder.ts";
import { openContainers, type TestContainers } from "../../testing/container-failures.ts";
import { hasDocker } from "../../testing/docker.ts";
import { openHarness } from "../../testing/harness.ts";
import { findRecord, newRecord, writeRecord } from "../record.ts";
import { agreeOnCompose } from "./agree.ts";
import { findCompose } from "./command.ts";
import { volumeName } from "./names.ts";

/* What is somebody else's: a port that we want, a compose project of our name. */

const run = promisify(execFile);

describe.skipIf(!hasDocker)("with Docker: what is somebody else's", () => {
  let c: TestContainers;

  beforeAll(async () => {
    c = await openContainers();
  });
  afterEach(async () => await c.clear());
  afterAll(async () => await c?.[Symbol.asyncDispose]());

  const port = (variable: string): number => Number(c.harness.env[variable]);

  describe("a port", () => {
    it("is taken by a process, before anything is started", async () => {
      const taken = port("AGENT_MAILPIT_WEB_PORT");
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(taken, "127.0.0.1", resolve));
      const { exitCode, stderr } = await c.infra("up");
      await new Promise((resolve) => server.close(resolve));
      expect(exitCode).toBe(5);
      expect(stderr).toContain(`PORT_TAKEN: Port ${taken} (AGENT_MAILPIT_WEB_PORT) is in use by pid ${process.pid} (`);
      expect(await c.states()).toEqual({});
    });

    it("is taken by somebody's container, which is named", async () => {
      const taken = port("AGENT_DB_PORT");
      const container = await c.engine.docker.createContainer({
        name: `${c.project}-other`,
        Image: c.shellImage,
        Entrypoint: ["sleep", "600"],
        ExposedPorts: { "80/tcp": {} },
        HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: String(taken) }] } },
      });
      await container.start();
      const { exitCode, stderr } = await c.infra("up");
      await container.remove({ force: true, v: true });
      expect(exitCode).toBe(5);
      expect(stderr).toContain(`Port ${taken} (AGENT_DB_PORT) is in use by the container ${c.project}-other.`);
      expect(stderr).toContain(`next: Run: docker stop ${c.project}-other, or choose another port`);
      expect(await c.states()).toEqual({});
    });

    it("is taken between our look and the engine's: the process is named, and the next start works", async () => {
      const taken = port("AGENT_MAILPIT_SMTP_PORT");
      const server = createServer();
      const start = c.start("mail", {
        progress: (event) => {
          if (event.type === "start" && event.step === "mail") server.listen(taken, "127.0.0.1");
        },
      });
      const error = await refused(start);
      await new Promise((resolve) => server.close(resolve));
      expect(error.code).toBe("PORT_TAKEN");
      expect(error.message).toContain(`Port ${taken} (AGENT_MAILPIT_SMTP_PORT) is in use by pid ${process.pid} (`);
      expect(error.leftBehind).toBe(`created: ${c.project}-mailpit-1; all data, as it was`);
      await c.start("mail");
      expect(await c.states()).toEqual({ mailpit: "running" });
    });
  });

  describe("a project of the same name", () => {
    let folder: string;

    /** Runs plain compose in that project, on a file with one service and one volume. */
    async function plainCompose(service: string, ...args: string[]): Promise<void> {
      const services = {
        [service]: { image: c.shellImage, entrypoint: ["sleep", "600"], init: true, volumes: ["theirs:/theirs"] },
      };
      // JSON is YAML.
      await writeFile(join(folder, "compose.yml"), JSON.stringify({ services, volumes: { theirs: {} } }));
      const [program = "", ...first] = (await findCompose(process.env)).argv;
      await run(program, [...first, "--project-name", c.project, ...args], { cwd: folder });
    }
    /** What of the project is there. */
    const everything = async (): Promise<string> =>
      JSON.stringify([
        (await c.engine.containers(c.project)).map((one) => [one.id, one.state]).sort(),
        (await c.engine.volumes(c.project)).map((one) => one.name).sort(),
      ]);

    beforeAll(async () => {
      folder = await realpath(await mkdtemp(join(tmpdir(), "ah-foreign-")));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it("is refused by up and touched by nothing; its removal, as hinted, lets up go on", async () => {
      const { paths, project, harness } = c;
      // As if the driver had run here before, and its containers had been deleted by hand.
      const record = newRecord("compose", infraPorts(harness.env));
      await writeRecord(paths, {
        ...record,
        compose: await agreeOnCompose(undefined, harness.env, { machine: "m", paths }),
      });
      await plainCompose("db", "up", "--detach");
      const before = await everything();
      const words = `The compose project ${project} is not ours: its container ${project}-db-1 belongs to another compose project of the name ${project}.`;
      const remove = ["--project-name", project, "down", "--volumes"];
      const up = await c.infra("up");
      expect(up.exitCode, up.stderr).toBe(5);
      expect(up.stderr).toContain(`error NAME_FOREIGN: ${words}`);
      expect(up.stderr).toContain("left behind: everything: nothing was touched");
      expect(up.stderr).toContain(`docker compose ${remove.join(" ")}`);
      const status = await c.infra("status");
      expect([status.exitCode, status.stdout.match(/ down /g)?.length]).toEqual([1, 4]);
      expect(status.stderr).toContain(words);
      // Nothing of ours is there to be stopped or deleted.
      const down = await c.infra("down");
      expect([down.exitCode, down.stdout]).toEqual([0, "No service was running.\n"]);
      expect((await c.infra("destroy", "--force")).exitCode).toBe(0);
      expect(await everything()).toBe(before);

      await plainCompose("db", ...remove.slice(2));
      await c.start("mail");
      expect(await c.states()).toEqual({ mailpit: "running" });
    });

    it("that has our containers too is refused by down and destroy; status shows ours", async () => {
      await c.up();
      await plainCompose("theirs", "up", "--detach");
      const before = await everything();
      const words = `its container ${c.project}-theirs-1 belongs to another compose project`;
      for (const argv of [["down"], ["destroy", "--force"]]) {
        const { exitCode, stderr } = await c.infra(...argv);
        expect(exitCode, `${argv.join(" ")}: ${stderr}`).toBe(5);
        expect(stderr).toContain("error NAME_FOREIGN");
        expect(stderr).toContain(words);
        expect(stderr).toContain("left behind: everything: nothing was touched");
      }
      for (const argv of [["status"], ["up"]]) {
        const { exitCode, stdout, stderr } = await c.infra(...argv);
        expect(exitCode, stderr).toBe(0);
        expect(stdout.match(/ healthy /g)).toHaveLength(4);
        expect(stderr).toContain(words);
      }
      expect((await c.infra("logs", "db")).exitCode).toBe(0);
      expect(await everything()).toBe(before);
      await plainCompose("theirs", "rm", "--stop", "--force", "--volumes", "theirs");
      await c.engine.docker.getVolume(`${c.project}_theirs`).remove();
    });

    it("is another home's: that is named, and nothing of it is touched", async () => {
      await c.start("mail");
      const before = await everything();
      await using other = await openHarness({ driver: "compose" });
      other.env["AGENT_COMPOSE_PROJECT"] = c.project;
      const { exitCode, stderr } = await other.harness(other.home, "infra", "up");
      expect(exitCode, stderr).toBe(5);
      expect(stderr).toContain(`error NAME_FOREIGN: `);
      expect(stderr).toContain(`belongs to the agent-harness of ${c.harness.home}.`);
      for (const argv of [["down"], ["destroy", "--force"]]) {
        expect((await other.harness(other.home, "infra", ...argv)).exitCode).toBe(0);
      }
      expect(await everything()).toBe(before);
    });

    it("is a volume that somebody made by hand; an embedded infra is left running when compose is refused", async () => {
      const name = volumeName(c.project, "postgres");
      await c.engine.docker.createVolume({ Name: name });
      await writeRecord(c.paths, newRecord("embedded", infraPorts(c.harness.env)));
      const { exitCode, stderr } = await c.infra("up");
      await c.engine.docker.getVolume(name).remove();
      expect(exitCode, stderr).toBe(5);
      expect(stderr).toContain(`its volume ${name} belongs to nobody that we know`);
      expect(stderr).toContain(`docker volume rm ${name}`);
      expect(stderr).not.toContain("are stopped");
      expect((await findRecord(c.paths))?.driver).toBe("embedded");
    });
  });
});
