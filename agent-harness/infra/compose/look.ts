import { HarnessError } from "../../shared/errors.ts";
import { findCompose } from "./command.ts";
import { findEndpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";

/** One part of Docker: what it says of itself, or why it cannot be used and what to do. */
export interface DockerPart {
  usable: boolean;
  detail: string;
  hint: string;
}

export interface DockerFacts {
  engine: DockerPart & {
    /** Where it keeps images and volumes, as it names that folder itself. */
    dataFolder?: string;
  };
  compose: DockerPart;
}

/** Looks for a Docker engine and for compose, each by itself. Starts nothing. */
export async function lookAtDocker(env: Readonly<Record<string, string | undefined>>): Promise<DockerFacts> {
  const [engine, compose] = await Promise.all([
    part(async () => {
      const open = await openEngine(await findEndpoint(env));
      const { DockerRootDir } = (await open.docker.info()) as { DockerRootDir?: string };
      const detail = `Docker ${open.version} answers at ${open.endpoint.host}`;
      return { detail, ...(DockerRootDir === undefined ? {} : { dataFolder: DockerRootDir }) };
    }),
    part(async () => {
      const { argv, version } = await findCompose(env);
      return { detail: `${argv.join(" ")} ${version}` };
    }),
  ]);
  return { engine, compose };
}

async function part<T extends { detail: string }>(look: () => Promise<T>): Promise<DockerPart & Partial<T>> {
  try {
    return { usable: true, hint: "", ...(await look()) };
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    return { usable: false, detail: error.message, hint: error.hint ?? "" } as DockerPart & Partial<T>;
  }
}
