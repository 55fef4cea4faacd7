import type { Infra } from "../infra/services.ts";
import { configSchema } from "../shared/config-schema.ts";
import { type StackValues, stackPorts, stackValues } from "../stacks/env.ts";

/** An infra as it would be, for what only computes with it; nothing listens there. */
export const sampleInfra: Infra = {
  machine: "m-test",
  postgres: { host: "localhost", port: 15_432, user: "postgres", password: "p4ss", external: false, reflink: false },
  s3: {
    host: "localhost",
    port: 19_000,
    url: "http://localhost:19000",
    accessKey: "access",
    secretKey: "secret",
    region: "us-east-1",
    external: false,
  },
  browser: { host: "localhost", port: 13_001, url: "ws://127.0.0.1:13001", external: false },
  mail: {
    smtpHost: "localhost",
    smtpPort: 11_025,
    smtpUrl: "smtp://localhost:11025",
    webUrl: "http://localhost:18025",
    external: false,
  },
};

/** What the texts of a stack with the seed's ports are filled in with. */
export function sampleValues(id: number, workdir = "/somewhere/project"): StackValues {
  const ports = stackPorts(configSchema.parse({}).ports, id);
  return stackValues({ id, project: "sample", workdir, ports, infra: sampleInfra });
}
