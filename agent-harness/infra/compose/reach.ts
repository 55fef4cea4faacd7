import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { ContainerFacts, Engine } from "./engine.ts";
import { type ComposeParts, ownContainers } from "./parts.ts";

/** What the note says must be true of any engine, since we cannot know how this one was started. */
const note = (engine: string): string =>
  [
    `The browser cannot open http://localhost:<port> of a stack: the Docker engine at ${engine} keeps this machine's loopback from its containers.`,
    "A rootless engine opens it when it is started with DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--disable-host-loopback=false and the option --host-gateway-ip=10.0.2.2 (of slirp4netns); then run: agent-harness infra down, agent-harness infra up.",
    "Or set infra.driver to embedded, or infra.browser.url to a browser that runs on this machine.",
  ].join(" ");

/** What a person has to know of a browser that cannot open the pages of stacks; undefined of one that can. */
export async function noteOfBrowser(
  { engine, settings }: ComposeParts,
  { id, state }: ContainerFacts,
): Promise<string | undefined> {
  // With the machine's own network there is nothing to ask; of one that does not run, nobody to answer.
  if (settings.browserNetwork === "host" || state !== "running") return undefined;
  // A container that ends in this moment is no answer either.
  const reaches = await reachesLoopback(engine, id).catch(() => undefined);
  return reaches === false ? note(engine.endpoint.host) : undefined;
}

/** Says it now, when the browser was started: a page that cannot be opened would be the first to say so. */
export async function tellOfBrowser(parts: ComposeParts): Promise<void> {
  const container = (await ownContainers(parts)).get("browser");
  const text = container && (await noteOfBrowser(parts, container));
  if (text !== undefined) parts.context.progress({ type: "note", text });
}

/** Asked, not concluded from the engine's kind: whether it does is a matter of how the engine was set up. */
async function reachesLoopback(engine: Engine, containerId: string): Promise<boolean> {
  const word = randomUUID();
  let asked = false;
  const server = createServer((request, response) => {
    asked ||= request.url === `/${word}`;
    response.end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    await get(engine, containerId, `http://host.docker.internal:${port}/${word}`);
    return asked;
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** By curl, which the image has for its health check; it ends in any case. */
async function get(engine: Engine, containerId: string, url: string): Promise<void> {
  const exec = await engine.docker.getContainer(containerId).exec({
    Cmd: ["curl", "--silent", "--noproxy", "*", "--max-time", "3", url],
    AttachStdout: true,
  });
  await text(await exec.start({}));
}
