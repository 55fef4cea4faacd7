import { hostname, release } from "node:os";
import { expect, test } from "vitest";
import { networkOf, remapsUsers } from "./network.ts";

const native = { Name: hostname(), KernelVersion: release(), OperatingSystem: "Debian GNU/Linux 12 (bookworm)" };

test.each([
  ["of this machine itself", "host", { ...native, SecurityOptions: ["name=seccomp,profile=default"] }],
  ["that tells little of itself, on this kernel", "host", { KernelVersion: release() }],
  ["under another name, on this kernel", "host", { ...native, Name: "renamed" }],
  ["that writes the kernel's version its own way", "host", { ...native, KernelVersion: "6.18.0" }],
  ["that is rootless", "bridge", { ...native, SecurityOptions: ["name=seccomp,profile=default", "name=rootless"] }],
  ["with user namespaces", "bridge", { ...native, SecurityOptions: ["name=userns"] }],
  ["of Docker Desktop", "bridge", { ...native, OperatingSystem: "Docker Desktop" }],
  ["in another virtual machine", "bridge", { ...native, Name: "lima-docker", KernelVersion: "6.1.0-vm" }],
] as const)("an engine %s has for the browser the network: %s", (_, network, { ...facts }) => {
  const { SecurityOptions, ...rest } = facts as { SecurityOptions?: readonly string[] };
  expect(networkOf({ ...rest, SecurityOptions: [...(SecurityOptions ?? [])] }, "linux")).toBe(network);
});

test("where this machine is not Linux, no engine shares its network", () => {
  expect(networkOf(native, "darwin")).toBe("bridge");
});

test("only an engine with a remapped root cannot read what is this user's alone", () => {
  expect(remapsUsers({ SecurityOptions: ["name=seccomp,profile=default", "name=userns"] })).toBe(true);
  expect(remapsUsers({ SecurityOptions: ["name=rootless"] })).toBe(false);
  expect(remapsUsers(native)).toBe(false);
});
