import type { ServiceId } from "../services.ts";

/** What each service is called in the compose file: the seed's names. */
export const composeNames: Readonly<Record<ServiceId, string>> = {
  postgres: "db",
  s3: "minio",
  browser: "headless-browser",
  mail: "mailpit",
};

/** The service that a name of the compose file means; undefined for one that is none of ours. */
export function findServiceId(composeName: string): ServiceId | undefined {
  const ids = Object.keys(composeNames) as ServiceId[];
  return ids.find((id) => composeNames[id] === composeName);
}

/** The names that compose gives to the containers of our file. */
export const containerNames = (project: string): string[] =>
  Object.values(composeNames).map((name) => `${project}-${name}-1`);

/** The volumes of the compose file that hold data, by service; a browser keeps none. */
const volumes = { postgres: "agent-db-data", s3: "agent-minio-data", mail: "agent-mail-data" } as const;

/** What the volume of a service is called in the engine. */
export const volumeName = (project: string, id: keyof typeof volumes): string => `${project}_${volumes[id]}`;

/** The names that compose gives to the volumes of our file. */
export const volumeNames = (project: string): string[] => Object.values(volumes).map((name) => `${project}_${name}`);
