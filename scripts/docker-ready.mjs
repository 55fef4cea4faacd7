// A Docker engine for tests and benches: whether one answers and has the four images. Those it lacks are pulled here, once.
import { findEndpoint } from "../dist/infra/compose/endpoint.js";
import { openEngine } from "../dist/infra/compose/engine.js";
import { agreeOnImages } from "../dist/infra/compose/images.js";
import { probeCompose } from "../dist/infra/compose/probe.js";
import { pullMissing } from "../dist/infra/compose/pull.js";
import { serviceIds } from "../dist/infra/services.js";

const say = (text) => process.stderr.write(`${text}\n`);
const firstLine = (error) => String(error.message ?? error).split("\n")[0];

/** Makes the compose driver ready to be used, as far as it can be; the reason is one line for people. */
export async function readyDocker(env = process.env) {
  const images = agreeOnImages(env);
  const { usable, reason } = await probeCompose({ env, services: serviceIds });
  if (!usable) return { usable, reason, images };
  try {
    await pullMissing(await openEngine(await findEndpoint(env)), serviceIds, images, tell);
    return { usable, reason, images };
  } catch (error) {
    return { usable: false, reason: firstLine(error), images };
  }
}

/** One line a pull, and one for its end: the layers in between are for a terminal. */
function tell(event) {
  if (event.type === "start") say(`docker: ${event.step}`);
  if (event.type === "done") say(`docker: ${event.step}: done in ${Math.round(event.ms / 1000)} s`);
}

/** What scripts/test says before the live tests: where the tests "with Docker …" run, and how real their mail is. */
export async function sayDocker() {
  const { usable, reason, images } = await readyDocker();
  say(`docker: ${usable ? reason : `${reason.replace(/\.$/, "")}; the tests "with Docker …" are skipped`}`);
  const isReal = usable && images.mail.includes("mailpit");
  const what = "its client is tested against its documented API, not against the real one";
  say(isReal ? `mail: ${images.mail}, the real one` : `mail: no Mailpit here: ${what}`);
}
