import { HarnessError } from "../../shared/errors.ts";
import { type Progress, withStep } from "../../shared/progress.ts";
import type { ServiceId } from "../services.ts";
import type { Engine } from "./engine.ts";
import { engineWords } from "./engine-errors.ts";
import { type Images, imageVariables } from "./images.ts";

/** How long a registry may take to say whether it has an image, in ms. */
const askLimitMs = 15_000;

/** Pulls the images that the engine does not have, one step each; what is there is never pulled again. */
export async function pullMissing(
  engine: Engine,
  ids: readonly ServiceId[],
  images: Images,
  progress: Progress,
): Promise<void> {
  for (const id of ids) {
    const image = images[id];
    if (await engine.hasImage(image)) continue;
    const step = `pull ${image}`;
    await withStep(progress, step, () => pull(engine, id, image, (text) => progress({ type: "detail", step, text })));
  }
}

/** Whether a registry answers that it has the image; asked by the engine, so it is the engine's network that counts. */
export async function canPull(engine: Engine, image: string, limitMs = askLimitMs): Promise<boolean> {
  try {
    await engine.findInRegistry(image, limitMs);
    return true;
  } catch {
    // Refused, unknown, out of reach or too slow: all of them mean that the pull would fail.
    return false;
  }
}

/** IMAGE_UNAVAILABLE for an image that cannot be had, with what to do about it; DISK_FULL where there is no room for it. */
export function imageError(id: ServiceId, image: string, why: string, cause?: unknown): HarnessError {
  const full = /no space left on device/i.test(why);
  const hint = full
    ? "Free some space where Docker keeps its images (look with docker system df), then run the same command again."
    : `Set ${imageVariables[id]} to an image that you have. If its registry asks who you are: docker login, then docker pull ${image}, then the same command again.`;
  const code = full ? "DISK_FULL" : "IMAGE_UNAVAILABLE";
  return new HarnessError(code, `The image ${image} of ${id} cannot be pulled: ${why}`, {
    hint,
    leftBehind: "what ran before, and the layers that were pulled",
    context: { image, service: id },
    cause,
  });
}

interface PullEvent {
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
}

async function pull(engine: Engine, id: ServiceId, image: string, onText: (text: string) => void): Promise<void> {
  const layers = new Map<string, PullEvent>();
  let shown = "";
  const show = (event: PullEvent): void => {
    if (event.id !== undefined && event.status !== undefined) layers.set(event.id, event);
    const text = describeLayers([...layers.values()]);
    if (text !== shown) onText(text);
    shown = text;
  };
  try {
    const stream = await engine.docker.pull(withTag(image));
    await new Promise<void>((resolve, reject) => {
      const end = (error: Error | null): void => (error ? reject(error) : resolve());
      engine.docker.modem.followProgress(stream, end, show);
    });
  } catch (error) {
    throw imageError(id, image, engineWords(error), error);
  }
}

/** Without a tag the engine would pull all there are. */
function withTag(image: string): string {
  const name = image.split("/").at(-1) ?? image;
  return name.includes(":") || name.includes("@") ? image : `${image}:latest`;
}

/** Where a pull is: how many layers are done, and how much of those under way, in tenths, so that it does not flicker. */
export function describeLayers(events: readonly PullEvent[]): string {
  const layers = events.filter((one) => one.status !== undefined && !/^(Pulling from|Digest|Status)/.test(one.status));
  const done = layers.filter((one) => /^(Pull complete|Already exists)/.test(one.status ?? "")).length;
  const under = layers.flatMap(({ id, status, progressDetail }) => {
    const { current, total } = progressDetail ?? {};
    if (current === undefined || !total) return [];
    return [`${id} ${String(status).toLowerCase()} ${Math.floor((10 * current) / total) * 10} %`];
  });
  return `${done} of ${layers.length} layers${under.length === 0 ? "" : `: ${under.join(", ")}`}`;
}
