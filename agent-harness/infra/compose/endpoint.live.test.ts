import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../shared/config-schema.ts";
import { homePaths } from "../../shared/paths.ts";
import { silent } from "../../shared/progress.ts";
import { infraPorts } from "../../shared/settings.ts";
import { refused } from "../../testing/config-folder.ts";
import { hasDocker } from "../../testing/docker.ts";
import { newCredentials } from "../credentials.ts";
import { askCompose } from "./command.ts";
import { type Endpoint, endpointOf, findEndpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";
import { openParts } from "./parts.ts";

/* What the docker command itself makes of DOCKER_HOST and contexts, and an engine behind certificates. */

const run = promisify(execFile);
const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;

describe.skipIf(!hasDocker || !has("docker", "--version"))("with Docker: the engine's address", () => {
  let folder: string;
  let engine: Endpoint;

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "ah-address-")));
    engine = await findEndpoint(process.env);
    for (const [name, host] of Object.entries({ here: engine.host, other: "unix:///other/docker.sock" })) {
      await docker({}, "context", "create", name, "--docker", `host=${host}`);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** An environment with contexts of its own. */
  const envWith = (more: Record<string, string>): Record<string, string> => ({
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    DOCKER_CONFIG: join(folder, "docker"),
    ...more,
  });
  const docker = async (more: Record<string, string>, ...args: string[]): Promise<string> =>
    (await run("docker", args, { env: envWith(more) })).stdout.trim();

  const cases: Record<string, string>[] = [
    {},
    { DOCKER_CONTEXT: "here" },
    { DOCKER_CONTEXT: "other" },
    { DOCKER_CONTEXT: "default" },
    { DOCKER_HOST: "unix:///third.sock" },
    { DOCKER_HOST: "unix:///third.sock", DOCKER_CONTEXT: "other" },
    { DOCKER_HOST: "tcp://127.0.0.1:4243" },
  ];
  it.each(["default", "here", "other"])(
    "is what the docker command takes, after `docker context use %s`",
    async (use) => {
      await docker({}, "context", "use", use);
      for (const env of cases) {
        const host = await docker(env, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}");
        expect((await findEndpoint(envWith(env))).host, JSON.stringify(env)).toBe(host);
      }
    },
  );

  it("leads to the engine, by context as by DOCKER_HOST", async () => {
    const { version } = await openEngine(engine);
    const byContext = await findEndpoint(envWith({ DOCKER_CONTEXT: "here" }));
    expect(byContext.source).toBe("Docker context here");
    expect((await openEngine(byContext)).version).toBe(version);
    expect(await docker({ DOCKER_CONTEXT: "here" }, "version", "--format", "{{.Server.Version}}")).toBe(version);
  });

  describe.skipIf(!has("openssl", "version"))("behind certificates", () => {
    let server: Server;
    let host: string;

    beforeAll(async () => {
      await makeCertificates(folder);
      const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");
      const [ca, cert, key] = await Promise.all([read("ca.pem"), read("cert.pem"), read("key.pem")]);
      server = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, (one) => {
        const engineEnd = connect(placeOf(engine));
        for (const end of [one, engineEnd]) end.on("error", () => undefined);
        one.pipe(engineEnd).pipe(one);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      host = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const files = ["ca", "cert", "key"].map((name) => `${name}=${join(folder, `${name}.pem`)}`);
      await docker({}, "context", "create", "secured", "--docker", [`host=${host}`, ...files].join(","));
    });
    afterAll(() => new Promise((resolve) => server.close(resolve)));

    /** Asks by dockerode and by compose; and again as a shell without the variables, which knows the record only. */
    async function expectBothWays(more: Record<string, string>): Promise<void> {
      const env = envWith(more);
      const progress = silent;
      const config = configSchema.parse({}).infra;
      const shared = { paths: homePaths(join(folder, "home")), credentials: newCredentials(), config, progress };
      const project = { AGENT_COMPOSE_PROJECT: `ah-${folder.split("-").at(-1)?.toLowerCase()}` };
      const parts = await openParts({ ...shared, env: { ...env, ...project }, record: { ports: infraPorts({}) } });
      expect(parts.settings.engine).toBe(host);
      expect(await askCompose(parts.project, ["ps", "--all", "--format", "json"])).toEqual([]);
      const again = await openParts({
        ...shared,
        env: envWith({}),
        record: { ports: infraPorts({}), compose: parts.settings },
      });
      expect(await askCompose(again.project, ["ps", "--all", "--format", "json"])).toEqual([]);
    }

    it("is reached by dockerode and by compose, with a context or with DOCKER_CERT_PATH", async () => {
      await docker({}, "context", "use", "default");
      await expectBothWays({ DOCKER_CONTEXT: "secured" });
      await expectBothWays({ DOCKER_HOST: host, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder });
    });

    it("is refused without them, and with a certificate that the engine does not know", async () => {
      const plain = await refused(openEngine(await findEndpoint(envWith({ DOCKER_HOST: host }))));
      expect([plain.code, plain.message]).toEqual([
        "DOCKER_UNAVAILABLE",
        expect.stringContaining(`No Docker engine answers at ${host} (DOCKER_HOST)`),
      ]);
      const strange = await mkdtemp(join(folder, "strange-"));
      await makeCertificates(strange);
      const stranger = await refused(openEngine(await endpointOf({ engine: host, certFolder: strange }, envWith({}))));
      expect(stranger.code).toBe("DOCKER_UNAVAILABLE");
      expect(stranger.message).toMatch(/certificate|signature/);
    });
  });
});

const placeOf = ({ host }: Endpoint): NetConnectOpts => {
  if (host.startsWith("unix://")) return { path: host.slice("unix://".length) };
  const { hostname, port } = new URL(host.replace("tcp:", "http:"));
  return { host: hostname, port: Number(port) };
};

/** A certificate for 127.0.0.1, of an authority of its own, which serves for both ends. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => run("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...key,
    "-days",
    "1",
    "-subj",
    "/CN=authority",
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca.pem",
  );
  await openssl("req", ...key, "-subj", "/CN=engine", "-keyout", "key.pem", "-out", "request.pem");
  await writeFile(join(folder, "names"), "subjectAltName=IP:127.0.0.1\n");
  const authority = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"];
  await openssl(
    "x509",
    "-req",
    "-in",
    "request.pem",
    ...authority,
    "-days",
    "1",
    "-extfile",
    "names",
    "-out",
    "cert.pem",
  );
}
