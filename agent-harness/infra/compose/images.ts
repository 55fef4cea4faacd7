import type { ServiceId } from "../services.ts";

/** The variable that names each service's image. */
export const imageVariables: Readonly<Record<ServiceId, string>> = {
  postgres: "AGENT_DB_IMAGE",
  s3: "AGENT_MINIO_IMAGE",
  browser: "AGENT_BROWSER_IMAGE",
  mail: "AGENT_MAIL_IMAGE",
};

/**
 * What runs without those variables. Pinned, so that a machine set up next year runs what this one does; ADR 0015 says
 * why MinIO comes from a fork. The same names are the defaults of templates/docker-compose.agent.yml.
 */
const defaultImages: Readonly<Record<ServiceId, string>> = {
  postgres: "pgvector/pgvector:0.8.1-pg17",
  s3: "pgsty/minio:RELEASE.2026-08-04T00-00-00Z",
  browser: "ghcr.io/browserless/chromium:v2.38.2",
  mail: "axllent/mailpit:v1.30.0",
};

export type Images = Record<ServiceId, string>;

/** The images to run: those of the variables, else those that infra was started with, else the pinned ones. */
export function agreeOnImages(
  env: Readonly<Record<string, string | undefined>>,
  known: Images = defaultImages,
): Images {
  const image = (id: ServiceId): string => env[imageVariables[id]] || known[id];
  return { postgres: image("postgres"), s3: image("s3"), browser: image("browser"), mail: image("mail") };
}
