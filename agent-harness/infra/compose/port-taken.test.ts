import { describe, expect, it } from "vitest";
import { infraPorts } from "../../shared/settings.ts";
import { serviceIds } from "../services.ts";
import { findTakenPort } from "./port-taken.ts";

const ports = infraPorts({});
const find = (text: string) => findTakenPort(text, serviceIds, ports);

describe("findTakenPort", () => {
  // As the engines print them, behind "Error response from daemon: ".
  it.each([
    [
      "20.10, published by another container",
      "driver failed programming external connectivity on endpoint agent-infra-db-1 (33ccd51a): Bind for 127.0.0.1:15432 failed: port is already allocated",
    ],
    [
      "20.10, a process",
      "driver failed programming external connectivity on endpoint agent-infra-db-1 (d5264d91c45b27f489d3): Error starting userland proxy: listen tcp4 127.0.0.1:15432: bind: address already in use",
    ],
    [
      "28, a process",
      "failed to set up container networking: driver failed programming external connectivity on endpoint agent-infra-db-1 (5f2): failed to bind host port for 127.0.0.1:15432:172.18.0.2:5432/tcp: address already in use",
    ],
    [
      "28.1, a process",
      "failed to set up container networking: driver failed programming external connectivity on endpoint agent-infra-db-1 (5f2): failed to bind host port 127.0.0.1:15432/tcp: address already in use",
    ],
    [
      "Docker Desktop",
      "Ports are not available: exposing port TCP 127.0.0.1:15432 -> 127.0.0.1:0: listen tcp 127.0.0.1:15432: bind: address already in use",
    ],
    ["Docker Desktop, short", "ports are not available: exposing port TCP 127.0.0.1:15432"],
    ["a server in the machine's network", "Error: listen EADDRINUSE: address already in use 127.0.0.1:15432"],
  ])("finds it in the words of %s", (_, text) => {
    expect(find(` Container agent-infra-db-1  Starting\nError response from daemon: ${text}`)).toEqual({
      service: "postgres",
      name: "AGENT_DB_PORT",
      port: 15_432,
    });
  });

  it("knows all ports of a service by their variables", () => {
    const taken = (port: number) => find(`Bind for 127.0.0.1:${port} failed: port is already allocated`)?.name;
    expect([ports.s3, ports.s3Console, ports.mailWeb, ports.mailSmtp].map(taken)).toEqual([
      "AGENT_MINIO_PORT",
      "AGENT_MINIO_CONSOLE_PORT",
      "AGENT_MAILPIT_WEB_PORT",
      "AGENT_MAILPIT_SMTP_PORT",
    ]);
  });

  it("takes no other text, and no port of somebody else's, for it", () => {
    expect(find("Error response from daemon: connect to 127.0.0.1:15432: no route to host")).toBeUndefined();
    expect(find("Bind for 127.0.0.1:8080 failed: port is already allocated")).toBeUndefined();
    expect(findTakenPort("Bind for 127.0.0.1:15432 failed: port is already allocated", ["s3"], ports)).toBeUndefined();
  });
});
