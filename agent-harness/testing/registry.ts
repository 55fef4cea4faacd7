import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** What a registry says when it is asked: the image, that there is none, who are you, or nothing at all. */
export type RegistryAnswer = "image" | 404 | 401 | "silence";

/** A registry of one image with two layers, on 127.0.0.1: Docker engines take those without TLS. Read-only. */
export interface TestRegistry extends AsyncDisposable {
  /** The image's name, as an engine pulls it. */
  image: string;
  /** The short ids of its layers, as an engine shows them. */
  layers: [string, string];
  /** Holds the second half of the second layer back, from now on; the returned function lets it go. */
  hold: () => () => void;
}

interface Blob {
  type: string;
  content: Buffer;
}

/** Listens on a free port and answers in one way; the layers are new each time, so that no engine has them. */
export async function openRegistry(answer: RegistryAnswer = "image"): Promise<TestRegistry> {
  const { blobs, manifest, layers } = makeImage();
  const held = { digest: layers[1], until: Promise.resolve() };
  const server = createServer((request, response) => {
    if (answer === "silence") return;
    if (answer !== "image") return refuse(response, answer);
    serve(request, response, { blobs, manifest, held });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  return {
    image: `127.0.0.1:${port}/agent-harness-test/image:1`,
    layers: layers.map((digest) => digest.slice("sha256:".length, "sha256:".length + 12)) as [string, string],
    hold: () => {
      let release = (): void => undefined;
      held.until = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Served {
  blobs: ReadonlyMap<string, Blob>;
  manifest: Blob;
  held: { digest: string; until: Promise<void> };
}

function serve(request: IncomingMessage, response: ServerResponse, { blobs, manifest, held }: Served): void {
  const path = request.url ?? "";
  if (path === "/v2/") {
    response.end("{}");
    return;
  }
  const digest = /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1];
  const blob = path.includes("/manifests/") ? manifest : blobs.get(digest ?? "");
  if (blob === undefined) refuse(response, 404);
  else send(response, blob, { withBody: request.method !== "HEAD", until: digest === held.digest ? held.until : null });
}

/** Sends the second half once it may. */
function send(
  response: ServerResponse,
  { type, content }: Blob,
  { withBody, until }: { withBody: boolean; until: Promise<void> | null },
): void {
  const headers = {
    "content-type": type,
    "content-length": content.length,
    "docker-content-digest": digestOf(content),
  };
  response.writeHead(200, headers);
  if (!withBody || until === null) {
    response.end(withBody ? content : "");
    return;
  }
  const half = Math.floor(content.length / 2);
  response.write(content.subarray(0, half));
  // Whoever asked may be gone by then: writing to nobody does nothing.
  until.then(() => response.end(content.subarray(half))).catch(() => undefined);
}

function refuse(response: ServerResponse, status: 401 | 404): void {
  const code = status === 401 ? "UNAUTHORIZED" : "MANIFEST_UNKNOWN";
  const message = status === 401 ? "authentication required" : "manifest unknown";
  const headers = status === 401 ? { "www-authenticate": 'Basic realm="test"' } : {};
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

function makeImage(): { blobs: Map<string, Blob>; manifest: Blob; layers: [string, string] } {
  // Large enough that an engine reports its way through it.
  const tars = [tarOf("first", randomBytes(1000)), tarOf("second", randomBytes(4 * 2 ** 20))] as const;
  const config: Blob = {
    type: "application/vnd.docker.container.image.v1+json",
    content: json({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config: { Cmd: ["/first"] },
      rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
      history: tars.map(() => ({ created_by: "agent-harness test" })),
    }),
  };
  const layerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";
  const blobs = [config, ...tars.map((tar): Blob => ({ type: layerType, content: gzipSync(tar) }))];
  const [about, ...layers] = blobs.map(({ type, content }) => ({
    mediaType: type,
    size: content.length,
    digest: digestOf(content),
  }));
  const manifestType = "application/vnd.docker.distribution.manifest.v2+json";
  return {
    blobs: new Map(blobs.map((blob) => [digestOf(blob.content), blob])),
    manifest: {
      type: manifestType,
      content: json({ schemaVersion: 2, mediaType: manifestType, config: about, layers }),
    },
    layers: layers.map((one) => one.digest) as [string, string],
  };
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const digestOf = (content: Buffer): string => `sha256:${createHash("sha256").update(content).digest("hex")}`;

/** A tar archive with one file. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  // The sum is taken with spaces in its own place.
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\x0000", 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
  );
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
