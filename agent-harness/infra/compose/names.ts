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
