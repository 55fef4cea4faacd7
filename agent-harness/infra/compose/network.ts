import { hostname, release } from "node:os";

/** What an engine says of itself that decides how the browser reaches this machine. */
interface EngineFacts {
  SecurityOptions?: string[] | undefined;
  OperatingSystem?: string | undefined;
  Name?: string | undefined;
  KernelVersion?: string | undefined;
}

/**
 * `host` where a container may share the network of this machine itself. Not with an engine in a virtual machine (Docker
 * Desktop and its like), whose host is that machine, nor with one whose containers are in a user namespace of their own.
 */
export function networkOf(engine: EngineFacts, platform = process.platform): "host" | "bridge" {
  const { SecurityOptions = [], OperatingSystem, Name, KernelVersion } = engine;
  const namespaced = SecurityOptions.some((option) => /\bname=(rootless|userns)\b/.test(option));
  // Both, since either may differ by itself: a name that was changed since, a kernel whose version is written otherwise.
  const virtual = OperatingSystem === "Docker Desktop" || (Name !== hostname() && KernelVersion !== release());
  return namespaced || virtual || platform !== "linux" ? "bridge" : "host";
}

/** Whether root in its containers is somebody else here, who may not read files of this user's alone, such as our secrets. */
export const remapsUsers = ({ SecurityOptions = [] }: EngineFacts): boolean =>
  SecurityOptions.some((option) => /\bname=userns\b/.test(option));
