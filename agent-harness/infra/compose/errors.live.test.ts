import { execFile } from "node:child_process";
import { access, chmod, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../shared/config-schema.ts";
import { isRoot } from "../../shared/paths.ts";
import { infraPorts } from "../../shared/settings.ts";
import { refused } from "../../testing/config-folder.ts";
import { openContainers, type TestContainers } from "../../testing/container-failures.ts";
import { hasDocker } from "../../testing/docker.ts";
import { freePorts } from "../../testing/ports.ts";
import { until } from "../../testing/until.ts";
import { chooseDriver } from "../choose-driver.ts";
import { findRecord, newRecord, writeRecord } from "../record.ts";
import { resolveInfra } from "../resolve.ts";
import { serviceIds } from "../services.ts";
import { withSql } from "../sql.ts";
import { agreeOnCompose } from "./agree.ts";
import { findCompose } from "./command.ts";
import { openEngine } from "./engine.ts";
import { agreeOnImages } from "./images.ts";
import { volumeName } from "./names.ts";

/* What goes wrong with containers, on a real engine: what is said, what is left, and that the next command mends it. */

describe.skipIf(!hasDocker)("with Docker: what goes wrong", () => {
  let c: TestContainers;

  beforeAll(async () => {
    c = await openContainers();
  });
  afterEach(async () => await c.clear());
  afterAll(async () => await c?.[Symbol.asyncDispose]());

  const upWith = (env: NodeJS.ProcessEnv) => c.withEnv(env, () => c.infra("up"));

  describe("the engine", () => {
    it("is none: up says where it was looked for, status shows the services all the same", async () => {
      const { paths, harness } = c;
      const gone = { DOCKER_HOST: `unix://${harness.home}/gone.sock` };
      const { exitCode, stderr } = await upWith(gone);
      expect(exitCode).toBe(6);
      expect(stderr).toContain(`DOCKER_UNAVAILABLE: No Docker engine answers at unix://${harness.home}/gone.sock`);
      expect(stderr).toContain("infra.driver to embedded");
      await expect(access(paths.infra)).rejects.toThrow("ENOENT");

      // As one that was stopped while infra was up.
      const compose = await agreeOnCompose(undefined, harness.env, { machine: "m", paths });
      const record = newRecord("compose", infraPorts(harness.env));
      await writeRecord(paths, { ...record, compose: { ...compose, engine: gone.DOCKER_HOST } });
      const status = await c.withEnv(gone, () => c.infra("status"));
      expect(status.exitCode).toBe(1);
      expect(status.stderr).toContain("No Docker engine answers at");
      expect(status.stdout.match(/ down /g)).toHaveLength(4);

      // What the hint says works.
      const without = await c.withEnv(gone, () => c.infra("up", "--driver", "embedded"));
      expect(without.exitCode, without.stderr).toBe(0);
      expect(without.stderr).toContain("What it has of infra is left as it is.");
    });

    it.each(["foo", "http://x", "ssh://host", "tcp://10.0.0.1:2375"])("is nonsense or elsewhere: %s", async (host) => {
      const { exitCode, stderr } = await upWith({ DOCKER_HOST: host });
      expect(exitCode).toBe(3);
      expect(stderr).toContain("DOCKER_HOST_UNSUPPORTED: The Docker engine of DOCKER_HOST is ");
      expect(stderr).toContain("Unset DOCKER_HOST");
    });

    it("is forbidden to this user", async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), "ah-forbidden-")));
      const [socket, server] = [join(folder, "docker.sock"), createServer()];
      await new Promise<void>((resolve) => server.listen(socket, resolve));
      await chmod(folder, 0o755);
      await chmod(socket, 0o000);
      // Root may do everything, so it becomes somebody else for the question.
      const root = isRoot();
      if (root) process.seteuid?.(65_534);
      const asked = refused(openEngine({ host: `unix://${socket}`, source: "DOCKER_HOST" }));
      const error = await asked.finally(() => (root ? process.seteuid?.(0) : undefined));
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
      expect(error.code).toBe("DOCKER_FORBIDDEN");
      expect(error.message).toMatch(/^\S+ may not use the Docker engine at unix:.*docker\.sock \(DOCKER_HOST\)\.$/);
      expect(error.hint).toMatch(/^Run: sudo usermod -aG docker \S+, then log in again\./);
    });
  });

  describe("the compose command", () => {
    let folder: string;

    beforeAll(async () => {
      folder = await realpath(await mkdtemp(join(tmpdir(), "ah-path-")));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it("is not there: nothing is made", async () => {
      const { exitCode, stderr } = await upWith({ PATH: folder });
      expect(exitCode).toBe(6);
      expect(stderr).toContain("COMPOSE_MISSING: Neither `docker compose` nor `docker-compose` works here.");
      expect(stderr).toContain("docker-compose-plugin");
      expect(await c.states()).toEqual({});
      await expect(access(c.paths.compose)).rejects.toThrow("ENOENT");
    });

    it("is the program by itself: brings the services up and takes them away", async () => {
      await symlink(await composeProgram(), join(folder, "docker-compose"));
      await c.withEnv({ PATH: folder }, async () => {
        expect((await findCompose(c.harness.env)).argv).toEqual(["docker-compose"]);
        expect((await c.up()).map((one) => one.healthy)).toEqual([true, true, true, true]);
        expect((await c.infra("down")).exitCode).toBe(0);
        expect(await c.states()).toEqual({});
        expect((await c.infra("destroy", "--force")).stdout).toContain(`volume ${volumeName(c.project, "postgres")}`);
      });
      expect(await c.engine.volumes(c.project)).toEqual([]);
    });
  });

  describe("an image", () => {
    it("cannot be had: nothing is started", async () => {
      const [nobody = 0] = await freePorts(1);
      const image = `127.0.0.1:${nobody}/nobody/mail:1`;
      const { exitCode, stderr } = await upWith({ AGENT_MAIL_IMAGE: image });
      expect(exitCode).toBe(6);
      expect(stderr).toContain(`IMAGE_UNAVAILABLE: The image ${image} of mail cannot be pulled: `);
      expect(stderr).toContain("Set AGENT_MAIL_IMAGE");
      expect(await c.states()).toEqual({});
    });

    it("ends at once: its last lines are shown, the others are up, and the next up with the right one works", async () => {
      const { engine, project } = c;
      const image = await c.makeImage("once", "echo out of cheese; exit 3");
      const { exitCode, stderr } = await upWith({ AGENT_MAIL_IMAGE: image });
      expect(exitCode, stderr).toBe(6);
      expect(stderr).toContain(`INFRA_DOWN: The service mail (container ${project}-mailpit-1, image ${image}) end`);
      // Newer compose tells of the first end, the engine's events of the second.
      expect(stderr).toMatch(/image \S+\) (ends again and again,|ended) with code 3\./);
      expect(stderr).toContain("Its last lines:\nout of cheese");
      const others = ["db", "headless-browser", "minio"].map((name) => `${project}-${name}-1`);
      expect(stderr).toContain(
        `left behind: the container ${project}-mailpit-1; running: ${others.join(", ")}; all data, as it was`,
      );
      expect(stderr).toContain("next: Run: agent-harness infra logs mail");
      const { settings = {} } = (await findRecord(c.paths)) ?? {};
      expect(Object.keys(settings).sort()).toEqual(["browser", "postgres", "s3"]);
      expect((await c.infra("logs", "mail")).stdout).toContain("mail  out of cheese");

      // Its restarts become ever rarer: the next start does not wait for one.
      await until("the container to be between two starts", async () => {
        const { State, RestartCount } = await engine.inspect(`${project}-mailpit-1`);
        return RestartCount > 4 && State.Restarting;
      });
      const notes: string[] = [];
      const again = c.start("mail", { image, progress: (event) => event.type === "note" && notes.push(event.text) });
      expect((await refused(again)).message).toContain("out of cheese");
      expect(notes).toEqual(["mail ended again and again: its container is stopped, then started anew."]);

      const before = await engine.containers(project);
      expect((await c.up()).map((one) => one.healthy)).toEqual([true, true, true, true]);
      const kept = new Set((await engine.containers(project)).map((one) => one.id));
      const gone = before.filter((one) => !kept.has(one.id));
      expect(gone.map((one) => one.service)).toEqual(["mailpit"]);
    });

    it("runs and never becomes healthy: ends at the limit, with what its check says", async () => {
      // Ends at a SIGTERM, which the first process of a container has to ask for.
      const image = await c.makeImage("never", "trap 'exit 0' TERM; echo waiting for a sign; sleep 600 & wait");
      const error = await refused(c.start("mail", { image, waitSeconds: 4 }));
      expect(error.code).toBe("INFRA_DOWN");
      expect(error.message).toContain(`(container ${c.project}-mailpit-1, image ${image})`);
      expect(error.message).toContain("runs, but did not become healthy in time. Its health check says: ");
      expect(error.message).toContain("/mailpit: not found");
      expect(error.message).toContain("Its last lines:\nwaiting for a sign");
      expect(error.leftBehind).toBe(`the container ${c.project}-mailpit-1; all data, as it was`);
      await c.start("mail");
    });

    it("needs more memory than the limit: is said in those words", async () => {
      const image = await c.makeImage("eater", "echo I eat; head -c 600m /dev/zero | tail; exit 137");
      const error = await refused(c.start("mail", { image }));
      expect(error.message).toContain("was killed because it needed more memory than its limit of 256 MB");
      expect(error.message).toContain("Its last lines:\nI eat");
    });
  });

  describe("a database of another major version", () => {
    it("is said to be one, keeps its data, and works again with its own server", async () => {
      await c.start("postgres");
      const sql = async (text: string): Promise<Record<string, unknown>[]> => {
        const { postgres } = await resolveInfra(c.paths, configSchema.parse({}).infra, c.harness.env);
        return await withSql(postgres, "postgres", async (one) => (await one.query(text)).rows);
      };
      await sql("CREATE TABLE kept AS SELECT 42 AS answer");
      const [asked] = await sql("SELECT current_setting('server_version_num')::int / 10000 AS major");
      const major = Number(asked?.["major"]);
      expect((await c.infra("down")).exitCode).toBe(0);
      const volume = volumeName(c.project, "postgres");
      await setMajor(volume, major - 1);

      const error = await refused(c.start("postgres"));
      expect(error.code).toBe("POSTGRES_VERSION_DIFFERS");
      expect(error.message).toBe(
        `The data in the volume ${volume} is of Postgres ${major - 1}, the server of ${agreeOnImages(process.env).postgres} is ${major}.`,
      );
      expect(error.hint).toContain(`Set AGENT_DB_IMAGE to an image of Postgres ${major - 1} again.`);
      expect(error.leftBehind).toBe("the data, as it was");
      await setMajor(volume, major);
      await c.start("postgres");
      expect(await sql("SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
    });

    async function setMajor(volume: string, major: number): Promise<void> {
      const container = await c.engine.docker.createContainer({
        Image: c.shellImage,
        User: "0",
        Entrypoint: ["/bin/sh", "-c", `echo ${major} > /changed/PG_VERSION`],
        HostConfig: { Binds: [`${volume}:/changed`] },
      });
      await container.start();
      const { StatusCode } = await container.wait();
      await container.remove({ v: true });
      expect(StatusCode).toBe(0);
    }
  });

  describe("the choice of a driver", () => {
    it("is compose where the engine has the images, and embedded where it cannot have one, and says why", async () => {
      const config = configSchema.parse({}).infra;
      const question = { paths: c.paths, config, record: undefined, services: serviceIds, stacks: [] };
      const { name, reason } = await chooseDriver({ ...question, env: c.harness.env });
      expect(name).toBe("compose");
      expect(reason).toContain(`Docker ${c.engine.version} answers at ${c.engine.endpoint.host}, compose is `);
      expect(reason).toMatch(/, (all images are there|to be pulled: .*)$/);
      const [nobody = 0] = await freePorts(1);
      const image = `127.0.0.1:${nobody}/nobody/mail:1`;
      const without = await chooseDriver({ ...question, env: { ...c.harness.env, AGENT_MAIL_IMAGE: image } });
      expect(without.name).toBe("embedded");
      expect(without.reason).toContain(`but ${image} cannot be pulled`);
    });
  });
});

/** The program that `docker compose` runs, or `docker-compose` itself. */
async function composeProgram(): Promise<string> {
  const run = promisify(execFile);
  const { argv } = await findCompose(process.env);
  if (argv.length === 1) return (await run("which", [...argv])).stdout.trim();
  const { stdout } = await run("docker", ["info", "--format", "{{json .ClientInfo.Plugins}}"]);
  const plugins = JSON.parse(stdout) as { Name: string; Path: string }[];
  return plugins.find((one) => one.Name === "compose")?.Path ?? "";
}
