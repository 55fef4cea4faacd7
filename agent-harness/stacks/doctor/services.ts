import { infraDown, type ServiceStatus } from "../../infra/index.ts";
import { listDaemons } from "../../shared/process-daemon.ts";
import { supervisorVersion } from "../../shared/processes.ts";
import { startInfra } from "../infra-use.ts";
import { type Check, type DoctorContext, fine, found, type Mendable } from "./finding.ts";

const up = "agent-harness infra up";

/** Whether each shared service works. */
export const checkServices: Check = async (context) => {
  const { infra, services } = context;
  if (infra === undefined) return [neverStarted];
  const unwell = services.filter((one) => !one.healthy);
  const own = services.filter((one) => one.driver !== "external");
  if (infra.driver === undefined && own.every((one) => !one.healthy) && !isUsed(context)) {
    return [
      neverStarted,
      ...unwell.filter((one) => one.driver === "external").map((one) => judgeService(one, context)),
    ];
  }
  return services.map((one) => judgeService(one, context));
};

const neverStarted = found("DOCTOR_INFRA", "note", {
  what: "infra is down",
  cause: "no stack needs it; a launch starts it",
  fix: up,
});

const isUsed = ({ owners }: DoctorContext): boolean => (owners?.claims.length ?? 0) + (owners?.ledgers.length ?? 0) > 0;

function judgeService({ service, healthy, detail, url, driver }: ServiceStatus, context: DoctorContext): Mendable {
  if (healthy) return fine("DOCTOR_INFRA", `${service} is healthy at ${url} (${detail})`);
  const what = `${service} is down at ${url}`;
  if (driver === "external") {
    const fix = `start it, or take infra.${service} out of agent-harness.yml`;
    return found("DOCTOR_INFRA", "error", { what, cause: detail, fix });
  }
  return found("DOCTOR_INFRA", "error", { what, cause: detail, fix: up, mend: () => bringUp(context) });
}

async function bringUp({ paths, config, env, progress }: DoctorContext): Promise<string> {
  await startInfra({ paths, config, env, progress });
  return "infra is up";
}

/** Whether the PM2 daemon is one, and of the version that we talk to it with. */
export const checkSupervisor: Check = async (context) => {
  const { paths } = context;
  const daemons = await listDaemons(paths.pm2);
  const own = supervisorVersion();
  const [first, ...more] = daemons;
  if (first === undefined) return [fine("DOCTOR_PM2", `PM2 ${own}, no daemon runs`)];
  if (more.length > 0) {
    const pids = daemons.map((one) => `${one.pid} (${one.version})`).join(", ");
    const cause = "one that was cut off from its socket goes on looking after its processes, and starts them again";
    const what = `${daemons.length} PM2 daemons run for ${paths.pm2}: pids ${pids}`;
    return [found("DOCTOR_PM2", "error", { what, cause, fix: `kill all but that of ${paths.pm2}/pm2.pid` })];
  }
  return [judgeDaemon(first, own, isUsed(context) ? undefined : () => renew(context))];
};

/** What to say of the daemon's version; `renew` is absent while stacks run under it. */
export function judgeDaemon(
  { pid, version }: { pid: number; version: string },
  own: string,
  renew: (() => Promise<string>) | undefined,
): Mendable {
  if (version === own) return fine("DOCTOR_PM2", `PM2 ${own}, daemon pid ${pid}`);
  return found("DOCTOR_PM2", "warning", {
    what: `the PM2 daemon (pid ${pid}) is of version ${version}, not ${own}`,
    cause: "an earlier agent-harness started it; calls of one version may fail in another",
    fix: `${renew === undefined ? "agent-harness teardown-all --everywhere && " : ""}agent-harness infra down && ${up}`,
    mend: renew,
  });
}

async function renew({ paths, config, env, progress }: DoctorContext): Promise<string> {
  await infraDown({ paths, config, env, progress });
  await startInfra({ paths, config, env, progress });
  return `infra was started anew, under PM2 ${supervisorVersion()}`;
}
