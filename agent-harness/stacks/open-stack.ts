import { type Infra, resolveInfra } from "../infra/index.ts";
import type { HomePaths } from "../shared/paths.ts";
import { stackValues } from "./env.ts";
import { getLedger, type Ledger } from "./ledger.ts";
import { openProject, type Project } from "./project.ts";
import { fill } from "./render.ts";
import { requireSameInfra } from "./same-infra.ts";
import { readStackEnv, stackProcessEnv } from "./stack-env.ts";

/** A stack that is there, with all that a command needs to act in its name. */
export interface OpenStack {
  ledger: Ledger;
  project: Project;
  infra: Infra;
  /** The whole environment of a program that runs for it. */
  env: Record<string, string>;
  /** Fills `{{…}}` of the config in, for this stack. */
  fill: (text: string, where: string) => string;
}

/** Opens the stack of an agent by the config that it was launched with. */
export async function openStack(
  paths: HomePaths,
  id: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<OpenStack> {
  const ledger = await getLedger(paths, id);
  const project = await openProject({ cwd: ledger.workdir, config: ledger.configPath, env });
  const infra = await resolveInfra(paths, project.config.infra, project.env);
  requireSameInfra(ledger, infra);
  const { workdir, ports } = ledger;
  const own = await readStackEnv(ledger);
  const values = { ...stackValues({ id, project: project.name, workdir, ports, infra }), env: own };
  return {
    ledger,
    project,
    infra,
    env: await stackProcessEnv(ledger),
    fill: (text, where) => fill(text, values, where),
  };
}
