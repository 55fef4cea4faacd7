import { HarnessError } from "../shared/errors.ts";
import type { PostgresServer } from "./sql.ts";

/** The parts of infra, by the ids used everywhere. */
export const serviceIds = ["postgres", "s3", "browser", "mail"] as const;
export type ServiceId = (typeof serviceIds)[number];

/** The ways to run them: in containers by Docker Compose, or embedded without Docker. */
export const driverNames = ["compose", "embedded"] as const;
export type DriverName = (typeof driverNames)[number];

/** The seed's compose names for the same parts. */
const aliases: Readonly<Record<string, ServiceId>> = {
  db: "postgres",
  minio: "s3",
  "headless-browser": "browser",
  mailpit: "mail",
};

/** The service that a word means, its id or the seed's name for it. */
export function parseServiceId(text: string): ServiceId {
  const id = serviceIds.find((one) => one === text) ?? aliases[text];
  if (id !== undefined) return id;
  throw new HarnessError("SERVICE_UNKNOWN", `There is no service "${text}".`, {
    hint: `Services: ${serviceIds.join(", ")} (or ${Object.keys(aliases).join(", ")}).`,
  });
}

/** Where every service is and who we are there: all that the floors above need to know. */
export interface Infra {
  /** `reflink`: whether the file system below its data can share blocks between copies; false when it cannot be asked. */
  postgres: PostgresServer & { external: boolean; reflink: boolean };
  s3: {
    host: string;
    port: number;
    url: string;
    accessKey: string;
    secretKey: string;
    region: string;
    external: boolean;
  };
  browser: { host: string; port: number; url: string; external: boolean };
  mail: { smtpHost: string; smtpPort: number; smtpUrl: string; webUrl: string; external: boolean };
  /** Identity of this harness; part of every stamp. */
  machine: string;
  /** How our services run; absent while none do. */
  driver?: DriverName;
}

export interface ServiceHealth {
  healthy: boolean;
  /** What the service says of itself, or why it is not healthy. */
  detail: string;
}
