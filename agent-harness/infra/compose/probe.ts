import { HarnessError } from "../../shared/errors.ts";
import type { ServiceId } from "../services.ts";
import { findCompose } from "./command.ts";
import { findEndpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";
import { agreeOnImages } from "./images.ts";
import { canPull } from "./pull.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Whether compose could run these services here: an engine answers, the command is there, and each image is there or can be
 * pulled. Starts nothing and pulls nothing; the reason is for people.
 */
export async function probeCompose({
  env,
  services,
}: {
  env: Env;
  services: readonly ServiceId[];
}): Promise<{ usable: boolean; reason: string }> {
  try {
    const engine = await openEngine(await findEndpoint(env));
    const { version } = await findCompose(env);
    const images = agreeOnImages(env);
    const wanted = await Promise.all(
      services.map(async (id) => ({ image: images[id], there: await engine.hasImage(images[id]) })),
    );
    const absent = wanted.filter((one) => !one.there).map((one) => one.image);
    const checked = await Promise.all(absent.map(async (image) => ({ image, ok: await canPull(engine, image) })));
    const lost = checked.filter((one) => !one.ok).map((one) => one.image);
    const found = `Docker ${engine.version} answers at ${engine.endpoint.host}`;
    if (await engine.remapsUsers()) {
      return {
        usable: false,
        reason: `${found}, but maps users (userns-remap): its containers cannot read our secrets`,
      };
    }
    if (lost.length > 0) return { usable: false, reason: `${found}, but ${lost.join(", ")} cannot be pulled` };
    const had = absent.length === 0 ? "all images are there" : `to be pulled: ${absent.join(", ")}`;
    return { usable: true, reason: `${found}, compose is ${version}, ${had}` };
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    return { usable: false, reason: error.message };
  }
}
