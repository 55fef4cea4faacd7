import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configSchema } from "../../shared/config-schema.ts";
import { homePaths, templatePath } from "../../shared/paths.ts";
import { silent } from "../../shared/progress.ts";
import { infraPorts } from "../../shared/settings.ts";
import { type ServiceId, serviceIds } from "../services.ts";
import { labels } from "./engine.ts";
import { agreeOnImages, imageVariables } from "./images.ts";
import { composeNames } from "./names.ts";
import { composeVariables } from "./variables.ts";

interface Service {
  image: string;
  restart: string;
  labels: Record<string, string>;
  ports: string[];
  environment: Record<string, string>;
  command?: string[];
  network_mode?: string;
  healthcheck: { test: string[]; interval: string; start_period: string };
  deploy: { resources: { limits: { memory: string } } };
}

interface ComposeFile {
  name: string;
  services: Record<string, Service>;
  volumes: Record<string, { labels: Record<string, string> }>;
  secrets: Record<string, { file: string }>;
}

let text: string;
let file: ComposeFile;

beforeAll(async () => {
  text = await readFile(templatePath("docker-compose.agent.yml"), "utf8");
  file = parse(text, { merge: true }) as ComposeFile;
});

const service = (id: ServiceId): Service => {
  const found = file.services[composeNames[id]];
  if (found === undefined) throw new Error(`no ${composeNames[id]} in the file`);
  return found;
};

/** What the driver gives to the file. */
function variablesOfDriver(): Record<string, string> {
  const credentials = {
    machine: "machine-of-the-test",
    postgres: { user: "postgres", password: "secret-of-postgres" },
    s3: { accessKey: "secret-access-key", secretKey: "secret-of-s3" },
  };
  const record = { ports: infraPorts({}) };
  const config = configSchema.parse({}).infra;
  const context = { paths: homePaths("/home/of/the/test"), credentials, record, config, env: {}, progress: silent };
  const settings = { project: "x", engine: "unix:///x", images: agreeOnImages({}), browserNetwork: "host" } as const;
  return composeVariables(context, settings);
}

describe("docker-compose.agent.yml", () => {
  it("is the project agent-infra with the four services", () => {
    expect(file.name).toBe("agent-infra");
    expect(Object.keys(file.services).sort()).toEqual(serviceIds.map((id) => composeNames[id]).sort());
  });

  it.each(serviceIds)("publishes every port of %s on 127.0.0.1 only", (id) => {
    const { ports } = service(id);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it("lets the browser, which shares the machine's network, listen on 127.0.0.1 only", () => {
    const { network_mode, environment } = service("browser");
    expect(network_mode).toBe("${AGENT_BROWSER_NETWORK:-host}");
    expect(environment["HOST"]).toBe("${AGENT_BROWSER_HOST:-127.0.0.1}");
    for (const id of serviceIds.filter((one) => one !== "browser")) expect(service(id).network_mode).toBeUndefined();
  });

  it.each(serviceIds)("gives %s a health check, a memory limit, a restart policy and our labels", (id) => {
    const { healthcheck, deploy, restart, labels: own } = service(id);
    expect(healthcheck.test[0]).toBe("CMD-SHELL");
    expect(healthcheck.test[1]).toMatch(/\S/);
    expect(healthcheck.interval).toBe("1s");
    expect(healthcheck.start_period).toBe("60s");
    expect(deploy.resources.limits.memory).toMatch(/^\d+[MG]$/);
    expect(restart).toBe("unless-stopped");
    expect(Object.keys(own).sort()).toEqual([labels.home, labels.machine, labels.ports].sort());
  });

  it("marks every volume as ours", () => {
    expect(Object.keys(file.volumes)).toEqual(["agent-db-data", "agent-minio-data", "agent-mail-data"]);
    for (const one of Object.values(file.volumes)) {
      expect(Object.keys(one.labels).sort()).toEqual([labels.home, labels.machine].sort());
    }
  });

  it("has the images of images.ts, and no tag that moves", () => {
    const pinned = agreeOnImages({});
    for (const id of serviceIds) {
      expect(service(id).image).toBe(`\${${imageVariables[id]}:-${pinned[id]}}`);
      expect(pinned[id]).toMatch(/:(?!latest$)[\w.-]*\d[\w.-]*$/);
    }
  });

  it("holds no password: what is secret is read from files of the machine", () => {
    const values = serviceIds.flatMap((id) => Object.entries(service(id).environment));
    const secret = values.filter(([name]) => /PASS|SECRET|KEY|TOKEN|_USER_FILE$/.test(name));
    expect(secret.map(([name]) => name).sort()).toEqual(
      ["MINIO_ROOT_PASSWORD_FILE", "MINIO_ROOT_USER_FILE", "POSTGRES_PASSWORD_FILE"].sort(),
    );
    for (const [, value] of secret) expect(file.secrets).toHaveProperty(value.replace("/run/secrets/", ""));
    for (const [name, one] of Object.entries(file.secrets)) {
      expect(one.file).toBe(`\${AGENT_HARNESS_SECRETS:?run agent-harness infra up}/${name}`);
    }
    // The seed's two, in whatever place.
    for (const [, value] of values) expect(String(value)).not.toMatch(/^password$|minioadmin/);
  });

  it("reads the variables that the driver gives, and no others", () => {
    const read = new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name));
    expect([...read].sort()).toEqual(Object.keys(variablesOfDriver()).sort());
    // `$NAME` would be a variable too; `$$` is a plain one.
    expect(text.match(/(?<!\$)\$(?![{$])/g)).toBeNull();
  });

  it("gets no secret by a variable", () => {
    const given = JSON.stringify(variablesOfDriver());
    for (const secret of ["secret-of-postgres", "secret-access-key", "secret-of-s3"])
      expect(given).not.toContain(secret);
  });

  it("is the same with its own values as with what the driver gives by default", () => {
    const usual = Object.entries(variablesOfDriver()).filter(([name]) => !name.startsWith("AGENT_HARNESS_"));
    for (const [name, value] of usual) expect(usualOf(name), name).toBe(value);
  });
});

/** The value that the file itself has for a variable. */
function usualOf(name: string): string {
  const found = [...text.matchAll(new RegExp(`\\$\\{${name}:-([^}]*)\\}`, "g"))].map(([, usual]) => usual ?? "");
  expect(new Set(found).size, `${name} has one usual value`).toBe(1);
  return found[0] ?? "";
}
