import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Progress, ProgressEvent } from "../../shared/progress.ts";
import { refused } from "../../testing/config-folder.ts";
import { hasDocker } from "../../testing/docker.ts";
import { freePorts } from "../../testing/ports.ts";
import { openRegistry, type RegistryAnswer } from "../../testing/registry.ts";
import { until } from "../../testing/until.ts";
import { findEndpoint } from "./endpoint.ts";
import { type Engine, openEngine } from "./engine.ts";
import { agreeOnImages } from "./images.ts";
import { canPull, pullMissing } from "./pull.ts";

/** An engine in a machine or a network of its own has another 127.0.0.1 than the registry here. */
const sharesLoopback =
  hasDocker && (await (await openEngine(await findEndpoint(process.env))).browserNetwork()) === "host";

describe.skipIf(!sharesLoopback)("with Docker: a pull", () => {
  let engine: Engine;
  const pulled: string[] = [];

  beforeAll(async () => {
    engine = await openEngine(await findEndpoint(process.env));
  });
  afterEach(async () => {
    for (const image of pulled.splice(0)) {
      await engine.docker.getImage(image).remove();
      expect(await engine.hasImage(image)).toBe(false);
    }
  });

  const pull = (image: string, progress: Progress = () => undefined) =>
    pullMissing(engine, ["mail"], { ...agreeOnImages({}), mail: image }, progress);

  it("says of each layer how far it is, and ends with the image; what is there is not pulled again", async () => {
    await using registry = await openRegistry();
    const [first, second] = registry.layers;
    const events: ProgressEvent[] = [];
    const texts = () => events.flatMap((one) => (one.type === "detail" ? [one.text] : []));
    const release = registry.hold();
    const done = pull(registry.image, (event) => events.push(event));
    // Only the second one is under way now, and held half-way.
    const underWay = new RegExp(`^1 of 2 layers: ${second} downloading \\d0? %$`);
    await until("the second layer to be under way", () => texts().some((text) => underWay.test(text)));
    expect(await engine.hasImage(registry.image)).toBe(false);
    release();
    await done;
    pulled.push(registry.image);
    expect(await engine.hasImage(registry.image)).toBe(true);
    expect(texts().some((text) => text.includes(first))).toBe(true);
    expect(texts().at(-1)).toBe("2 of 2 layers");
    const step = `pull ${registry.image}`;
    expect([events[0], events.at(-1)]).toMatchObject([
      { type: "start", step },
      { type: "done", step },
    ]);
    expect(new Set(events.map((one) => "step" in one && one.step))).toEqual(new Set([step]));

    const again: ProgressEvent[] = [];
    await pull(registry.image, (event) => again.push(event));
    expect(again).toEqual([]);
  });

  it("is known to work before it is tried, by an image's tag and by its digest", async () => {
    await using registry = await openRegistry();
    expect(await canPull(engine, registry.image)).toBe(true);
    const { Descriptor } = await engine.docker.getImage(registry.image).distribution();
    expect(await canPull(engine, `${registry.image.replace(/:1$/, "")}@${Descriptor.digest}`)).toBe(true);
    expect(await engine.hasImage(registry.image)).toBe(false);
  });

  const cases: [RegistryAnswer, RegExp][] = [
    [404, /manifest unknown|not found/],
    [401, /no basic auth credentials|unauthorized|authentication required/i],
  ];
  it.each(cases)("that the registry answers with %s is refused, with what to do", async (answer, words) => {
    await using registry = await openRegistry(answer);
    expect(await canPull(engine, registry.image)).toBe(false);
    const error = await refused(pull(registry.image));
    expect(error.code).toBe("IMAGE_UNAVAILABLE");
    expect(error.message).toContain(`The image ${registry.image} of mail cannot be pulled: `);
    expect(error.message).toMatch(words);
    expect(error.message).not.toContain("HTTP code");
    expect(error.hint).toContain("Set AGENT_MAIL_IMAGE");
    expect(error.hint).toContain(`docker pull ${registry.image}`);
  });

  it("from a registry that nobody runs is refused", async () => {
    const [port = 0] = await freePorts(1);
    const image = `127.0.0.1:${port}/nobody/nothing:1`;
    expect(await canPull(engine, image)).toBe(false);
    const { code, message } = await refused(pull(image));
    expect(code).toBe("IMAGE_UNAVAILABLE");
    expect(message).toMatch(/cannot be pulled: .*(connection refused|failed to do request)/);
  });

  it("from a registry that says nothing cannot be had, after the limit", async () => {
    await using registry = await openRegistry("silence");
    const start = performance.now();
    expect(await canPull(engine, registry.image, 500)).toBe(false);
    const tookMs = performance.now() - start;
    expect(tookMs).toBeGreaterThanOrEqual(490);
    // Far below the engine's own limit of 15 s.
    expect(tookMs).toBeLessThan(5000);
  });
});
