import { probeCompose } from "../infra/compose/probe.ts";
import { serviceIds } from "../infra/services.ts";

const { usable, reason } = await probeCompose({ env: process.env, services: serviceIds });

/** Whether the compose driver can be tested here: an engine answers, and the four images are there or can be pulled. */
export const hasDocker: boolean = usable;

// A suite that is skipped says only that it was.
if (!usable) process.stderr.write(`The tests with Docker are skipped: ${reason}\n`);
