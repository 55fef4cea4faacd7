import { createHash } from "node:crypto";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { HarnessError } from "../../shared/errors.ts";
import { findText } from "../../shared/files.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Where a Docker engine is, found as the docker command finds it. */
export interface Endpoint {
  /** In the words of DOCKER_HOST: `unix:///…` or `tcp://127.0.0.1:…`. */
  host: string;
  /** What said so, in words for people. */
  source: string;
  /** The folder with ca.pem, cert.pem and key.pem, where the engine asks for certificates. */
  certFolder?: string;
}

const usualSocket = "/var/run/docker.sock";

/**
 * The engine that `docker` would talk to: DOCKER_HOST, else the context of DOCKER_CONTEXT or of `docker context use`, else
 * the usual socket, else that of a rootless engine. DOCKER_HOST_UNSUPPORTED for one that is not on this machine.
 */
export async function findEndpoint(env: Env, socket = usualSocket): Promise<Endpoint> {
  const found = fromEnvironment(env) ?? (await fromContext(env)) ?? (await fromSocket(env, socket));
  const endpoint = { ...found, host: fullAddress(found) };
  requireLocal(endpoint);
  return endpoint;
}

/** The same engine again, as the record of the running infra names it. */
export const endpointOf = async ({ engine, certFolder }: KnownEngine, env: Env): Promise<Endpoint> => {
  const found = await findEndpoint(env).catch(() => undefined);
  if (found?.host === engine) return found;
  return { host: engine, source: "the running infra", ...(certFolder === undefined ? {} : { certFolder }) };
};

/** An engine as the record of the running infra keeps it. */
export interface KnownEngine {
  engine: string;
  certFolder?: string | undefined;
}

function fromEnvironment(env: Env): Endpoint | undefined {
  const host = env["DOCKER_HOST"]?.trim();
  if (!host) return undefined;
  const secured = !host.startsWith("unix:") && env["DOCKER_TLS_VERIFY"];
  return {
    host,
    source: "DOCKER_HOST",
    ...(secured ? { certFolder: env["DOCKER_CERT_PATH"] || dockerFolder(env) } : {}),
  };
}

const contextMeta = z.object({ Endpoints: z.object({ docker: z.object({ Host: z.string() }) }) });

async function fromContext(env: Env): Promise<Endpoint | undefined> {
  const name = env["DOCKER_CONTEXT"] || (await currentContext(env));
  if (!name || name === "default") return undefined;
  // The docker command files each context under the hash of its name.
  const id = createHash("sha256").update(name).digest("hex");
  const contexts = join(dockerFolder(env), "contexts");
  const text = await findText(join(contexts, "meta", id, "meta.json"));
  const parsed = text === undefined ? undefined : contextMeta.safeParse(parseJson(text)).data;
  if (parsed === undefined) {
    throw new HarnessError("DOCKER_UNAVAILABLE", `There is no Docker context "${name}" in ${contexts}.`, {
      hint: "Run: docker context ls. Then choose one with docker context use, or unset DOCKER_CONTEXT.",
    });
  }
  const certFolder = join(contexts, "tls", id, "docker");
  const secured = await exists(join(certFolder, "cert.pem"));
  return {
    host: parsed.Endpoints.docker.Host,
    source: `Docker context ${name}`,
    ...(secured ? { certFolder } : {}),
  };
}

async function currentContext(env: Env): Promise<string | undefined> {
  const text = await findText(join(dockerFolder(env), "config.json"));
  const config = text === undefined ? undefined : parseJson(text);
  return z.object({ currentContext: z.string().optional() }).safeParse(config).data?.currentContext;
}

async function fromSocket(env: Env, socket: string): Promise<Endpoint> {
  const runtime = env["XDG_RUNTIME_DIR"];
  const rootless = runtime === undefined ? undefined : join(runtime, "docker.sock");
  if (rootless !== undefined && !(await exists(socket)) && (await exists(rootless))) {
    return { host: `unix://${rootless}`, source: "the socket of a rootless engine" };
  }
  return { host: `unix://${socket}`, source: "the usual socket" };
}

const tcpAddress = /^tcp:\/\/(\[[^\]]*\]|[^:/@]*)(?::(\d{1,5}))?\/?$/;

/** What the docker command makes of a short address: `tcp://` of one without a protocol, its usual socket and ports. */
function fullAddress({ host, certFolder }: Endpoint): string {
  if (host === "" || host === "unix://") return `unix://${usualSocket}`;
  const found = tcpAddress.exec(host.includes("://") ? host : `tcp://${host}`);
  if (found === null) return host;
  const [, name, port = certFolder === undefined ? "2375" : "2376"] = found;
  return `tcp://${name || "localhost"}:${port}`;
}

/** The services listen on the engine's loopback: an engine elsewhere would put them where no stack reaches them. */
function requireLocal({ host, source }: Endpoint): void {
  if (host.startsWith("unix:///")) return;
  const [, name = "", port] = tcpAddress.exec(host) ?? [];
  if (/^(localhost|\[::1\]|127(\.\d{1,3}){3})$/.test(name) && Number(port) < 65_536) return;
  // An address may hold a password.
  const shown = host.replace(/\/\/[^/@]*@/, "//");
  throw new HarnessError(
    "DOCKER_HOST_UNSUPPORTED",
    `The Docker engine of ${source} is ${shown}: the shared services have to run on this machine, behind a unix socket (unix:///…) or on its loopback (tcp://127.0.0.1:…).`,
    { hint: "Unset DOCKER_HOST or choose a local context (docker context ls), or set infra.driver to embedded." },
  );
}

const dockerFolder = (env: Env): string => env["DOCKER_CONFIG"] || join(env["HOME"] || homedir(), ".docker");

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // As the docker command does: a config that cannot be read is none.
    return undefined;
  }
}
