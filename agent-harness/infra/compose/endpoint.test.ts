import { createHash } from "node:crypto";
import { mkdir, mkdtemp, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { refused } from "../../testing/config-folder.ts";
import { endpointOf, findEndpoint } from "./endpoint.ts";

let folder: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-endpoint-")));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Finds it in an environment without the machine's own contexts. */
const find = (env: Record<string, string>, socket?: string) => findEndpoint({ DOCKER_CONFIG: folder, ...env }, socket);

/** Files as the docker command keeps a context. */
async function plantContext(name: string, host: string, tls: readonly string[] = []): Promise<string> {
  const id = createHash("sha256").update(name).digest("hex");
  const files = {
    [`meta/${id}/meta.json`]: JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }),
    ...Object.fromEntries(tls.map((file) => [`tls/${id}/docker/${file}`, "-"])),
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, "contexts", path)), { recursive: true });
    await writeFile(join(folder, "contexts", path), text);
  }
  return join(folder, "contexts", "tls", id, "docker");
}

const config = (text: string): Promise<void> => writeFile(join(folder, "config.json"), text);

describe("DOCKER_HOST", () => {
  it.each([
    ["unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"],
    ["unix://", "unix:///var/run/docker.sock"],
    ["tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"],
    ["tcp://localhost:1234/", "tcp://localhost:1234"],
    ["tcp://127.0.0.1", "tcp://127.0.0.1:2375"],
    ["tcp://[::1]:2375", "tcp://[::1]:2375"],
    ["tcp://", "tcp://localhost:2375"],
    ["tcp://:4243", "tcp://localhost:4243"],
    ["127.0.0.1:2375", "tcp://127.0.0.1:2375"],
    [" localhost ", "tcp://localhost:2375"],
  ])("%j is %s", async (text, host) => {
    expect(await find({ DOCKER_HOST: text })).toEqual({ host, source: "DOCKER_HOST" });
  });

  it.each([
    ["foo", "tcp://foo:2375"],
    ["http://x", "http://x"],
    ["ssh://host", "ssh://host"],
    ["tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"],
    ["tcp://127.0.0.1.example.com:2375", "tcp://127.0.0.1.example.com:2375"],
    ["tcp://127.0.0.1:99999", "tcp://127.0.0.1:99999"],
    ["unix://relative.sock", "unix://relative.sock"],
    ["fd://", "fd://"],
    ["/var/run/docker.sock", "/var/run/docker.sock"],
    ["tcp://localhost/path", "tcp://localhost/path"],
    ["a b", "tcp://a b"],
  ])("%j is refused, by the address that it means", async (text, host) => {
    const error = await refused(find({ DOCKER_HOST: text }));
    expect(error.code).toBe("DOCKER_HOST_UNSUPPORTED");
    expect(error.message).toContain(`The Docker engine of DOCKER_HOST is ${host}`);
    expect(error.message).toContain("unix:///…");
    expect(error.hint).toContain("Unset DOCKER_HOST");
    expect(error.hint).toContain("infra.driver to embedded");
  });

  it("keeps a password out of the message", async () => {
    const { message } = await refused(find({ DOCKER_HOST: "ssh://me:s3cret@host" }));
    expect(message).toContain("is ssh://host:");
    expect(message).not.toContain("s3cret");
  });

  it("asks for certificates with DOCKER_TLS_VERIFY: those of DOCKER_CERT_PATH, else the docker folder's", async () => {
    const tls = { DOCKER_HOST: "tcp://127.0.0.1", DOCKER_TLS_VERIFY: "1" };
    expect(await find(tls)).toEqual({ host: "tcp://127.0.0.1:2376", source: "DOCKER_HOST", certFolder: folder });
    expect(await find({ ...tls, DOCKER_CERT_PATH: "/certs" })).toMatchObject({ certFolder: "/certs" });
    expect(await find({ ...tls, DOCKER_HOST: "unix:///x.sock" })).toEqual({
      host: "unix:///x.sock",
      source: "DOCKER_HOST",
    });
  });

  it("goes before contexts, an empty one does not", async () => {
    await plantContext("one", "unix:///one.sock");
    expect((await find({ DOCKER_HOST: "unix:///x.sock", DOCKER_CONTEXT: "one" })).host).toBe("unix:///x.sock");
    expect((await find({ DOCKER_HOST: "", DOCKER_CONTEXT: "one" })).host).toBe("unix:///one.sock");
  });
});

describe("contexts", () => {
  it("are those of DOCKER_CONTEXT, else of the docker command's config", async () => {
    await plantContext("one", "unix:///one.sock");
    await plantContext("two", "unix:///two.sock");
    await config(JSON.stringify({ currentContext: "one" }));
    expect(await find({})).toEqual({ host: "unix:///one.sock", source: "Docker context one" });
    expect(await find({ DOCKER_CONTEXT: "two" })).toEqual({ host: "unix:///two.sock", source: "Docker context two" });
    expect(await find({ DOCKER_CONTEXT: "default" }, join(folder, "x"))).toMatchObject({ source: "the usual socket" });
  });

  it("bring their certificates", async () => {
    const certFolder = await plantContext("one", "tcp://127.0.0.1:2376", ["ca.pem", "cert.pem", "key.pem"]);
    expect(await find({ DOCKER_CONTEXT: "one" })).toMatchObject({ certFolder });
  });

  it("lie below HOME without DOCKER_CONFIG", async () => {
    await plantContext("one", "unix:///one.sock");
    await mkdir(join(folder, "home", ".docker"), { recursive: true });
    await rename(join(folder, "contexts"), join(folder, "home", ".docker", "contexts"));
    const found = await findEndpoint({ HOME: join(folder, "home"), DOCKER_CONTEXT: "one" });
    expect(found.host).toBe("unix:///one.sock");
  });

  it("that are not there are named, with where they were looked for", async () => {
    const error = await refused(find({ DOCKER_CONTEXT: "gone" }));
    expect(error.code).toBe("DOCKER_UNAVAILABLE");
    expect(error.message).toBe(`There is no Docker context "gone" in ${folder}/contexts.`);
    expect(error.hint).toContain("docker context ls");
  });

  it("on another machine are refused by their name", async () => {
    await plantContext("far", "ssh://me@far.example");
    const { code, message } = await refused(find({ DOCKER_CONTEXT: "far" }));
    expect(code).toBe("DOCKER_HOST_UNSUPPORTED");
    expect(message).toContain("The Docker engine of Docker context far is ssh://far.example");
  });

  it("of a config that cannot be read are none, as for the docker command", async () => {
    await config("{ not JSON");
    expect(await find({}, join(folder, "x"))).toMatchObject({ source: "the usual socket" });
  });
});

describe("without either", () => {
  it("it is the usual socket, or a rootless engine's where that is the only one", async () => {
    const [usual, runtime] = [join(folder, "docker.sock"), join(folder, "run")];
    const env = { XDG_RUNTIME_DIR: runtime };
    expect(await find(env, usual)).toEqual({ host: `unix://${usual}`, source: "the usual socket" });
    await mkdir(runtime);
    await writeFile(join(runtime, "docker.sock"), "");
    const rootless = { host: `unix://${runtime}/docker.sock`, source: "the socket of a rootless engine" };
    expect(await find(env, usual)).toEqual(rootless);
    await writeFile(usual, "");
    expect((await find(env, usual)).host).toBe(`unix://${usual}`);
  });
});

describe("the engine of the running infra", () => {
  it("is found by a shell that names another one or nonsense, with its certificates", async () => {
    const known = { engine: "tcp://127.0.0.1:2376", certFolder: "/certs" };
    for (const host of ["foo", "unix:///other.sock"]) {
      expect(await endpointOf(known, { DOCKER_CONFIG: folder, DOCKER_HOST: host })).toEqual({
        host: known.engine,
        source: "the running infra",
        certFolder: "/certs",
      });
    }
  });
});
