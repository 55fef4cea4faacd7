import { expect } from "vitest";
import { agreeOnCompose } from "../infra/compose/agree.ts";
import { findEndpoint } from "../infra/compose/endpoint.ts";
import { type Engine, openEngine } from "../infra/compose/engine.ts";
import { agreeOnImages } from "../infra/compose/images.ts";
import { openParts } from "../infra/compose/parts.ts";
import { startContainers } from "../infra/compose/start.ts";
import { ensureCredentials } from "../infra/credentials.ts";
import { resolveInfra } from "../infra/resolve.ts";
import type { ServiceId } from "../infra/services.ts";
import type { ServiceStatus } from "../infra/status.ts";
import { configSchema } from "../shared/config-schema.ts";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { type Progress, silent } from "../shared/progress.ts";
import { infraPorts } from "../shared/settings.ts";
import { openHarness, type Printed, type TestHarness } from "./harness.ts";

/** A harness on containers, and what tests of their failures do to it. */
export interface TestContainers extends AsyncDisposable {
  harness: TestHarness;
  paths: HomePaths;
  engine: Engine;
  /** The compose project of this harness. */
  project: string;
  /** An image with a shell and no volume of its own, on every machine: the browser's. */
  shellImage: string;
  /** Runs `agent-harness infra …`. */
  infra: (...argv: string[]) => Promise<Printed>;
  /** `infra up` that must work, and the status after it. */
  up: () => Promise<ServiceStatus[]>;
  /** Runs something with other variables in the place of the harness's own. */
  withEnv: <T>(env: NodeJS.ProcessEnv, what: () => Promise<T>) => Promise<T>;
  /** Starts one service alone, without what `infra up` does around it. */
  start: (id: ServiceId, options?: StartOptions) => Promise<void>;
  /** The states of the project's containers, by the service's name in the compose file. */
  states: () => Promise<Record<string, string>>;
  /** Makes an image that does nothing but run this in a shell. */
  makeImage: (name: string, script: string) => Promise<string>;
  /** Takes away all that is there but the harness itself. */
  clear: () => Promise<void>;
}

export interface StartOptions {
  image?: string;
  waitSeconds?: number;
  progress?: Progress;
}

/** Opens one with nothing started yet. */
export async function openContainers(): Promise<TestContainers> {
  const harness = await openHarness({ driver: "compose" });
  const { env } = harness;
  const engine = await openEngine(await findEndpoint(process.env));
  const project = env["AGENT_COMPOSE_PROJECT"] ?? "";
  const shellImage = agreeOnImages(process.env).browser;
  const images: string[] = [];
  const infra = (...argv: string[]): Promise<Printed> => harness.harness(harness.home, "infra", ...argv);
  const clear = async (): Promise<void> => {
    const { exitCode, stderr } = await infra("destroy", "--force");
    expect(exitCode, stderr).toBe(0);
    for (const image of images.splice(0)) await engine.docker.getImage(image).remove({ force: true });
  };
  return {
    harness,
    engine,
    project,
    shellImage,
    infra,
    clear,
    paths: homePaths(harness.home),
    up: async () => {
      const { exitCode, stdout, stderr } = await infra("up", "--json");
      expect(exitCode, stderr).toBe(0);
      return JSON.parse(stdout) as ServiceStatus[];
    },
    withEnv: async (other, what) => {
      const before = { ...env };
      Object.assign(env, other);
      try {
        return await what();
      } finally {
        for (const name of Object.keys(other)) delete env[name];
        Object.assign(env, before);
      }
    },
    start: async (id, options) => await startOne(harness, id, options),
    states: async () => Object.fromEntries((await engine.containers(project)).map((one) => [one.service, one.state])),
    makeImage: async (name, script) => {
      const [repo, tag] = [`${project}-${name}`, "1"];
      const entry = { Entrypoint: ["/bin/sh", "-c", script], Cmd: [] };
      const container = await engine.docker.createContainer({ Image: shellImage, ...entry });
      await container.commit({ repo, tag });
      await container.remove({ v: true });
      images.push(`${repo}:${tag}`);
      return `${repo}:${tag}`;
    },
    [Symbol.asyncDispose]: async () => {
      await clear();
      await harness[Symbol.asyncDispose]();
    },
  };
}

async function startOne(
  { home, env }: TestHarness,
  id: ServiceId,
  { image, waitSeconds, progress = silent }: StartOptions = {},
): Promise<void> {
  const paths = homePaths(home);
  const config = configSchema.parse({}).infra;
  const credentials = await ensureCredentials(paths);
  const compose = await agreeOnCompose(undefined, env, { machine: credentials.machine, paths });
  if (image !== undefined) compose.images = { ...compose.images, [id]: image };
  const record = { ports: infraPorts(env), compose };
  const parts = await openParts({ paths, credentials, config, env, progress, record });
  const infra = await resolveInfra(paths, config, env);
  await startContainers(parts, [id], infra, async () => undefined, waitSeconds === undefined ? {} : { waitSeconds });
}
