import { renderEnv } from "../../shared/env-file.ts";
import { envFileName, instructionsFileName, processFileName } from "../../shared/names.ts";
import { templatePath } from "../../shared/paths.ts";
import { toApp } from "../../shared/processes.ts";
import { fillFile } from "../render.ts";
import type { LaunchContext } from "../resource.ts";
import { stackFile, wholeHeader } from "./stack-file.ts";

const headerOf = ({ plan, infra }: LaunchContext): string => wholeHeader(plan.id, plan.values.project, infra.machine);

/** `.env.agent.<id>`: the stack's variables, for the application and for the agent's own shell. */
export const envFile = stackFile({
  kind: "env-file",
  name: envFileName,
  render: async (context) =>
    await fillFile(templatePath("env.agent.hbs"), {
      ...context.plan.values,
      header: headerOf(context),
      variables: renderEnv(context.plan.env),
    }),
});

/** `CLAUDE.agent.<id>.md`: what the coding agent must know of its stack. */
export const instructions = stackFile({
  kind: "instructions",
  name: instructionsFileName,
  render: async (context) => {
    const { plan, instructionsTemplate } = context;
    const text = await fillFile(instructionsTemplate, {
      ...plan.values,
      env: plan.env,
      envFile: envFileName(plan.id),
      processes: plan.processes.map(({ name, aliases, port }) => ({
        name,
        aliases: aliases.join(", "),
        port: port ?? null,
      })),
    });
    // Put here, since the template may be the project's own.
    return `<!-- ${headerOf(context)}. Changes are lost at the next launch. -->\n${text}`;
  },
});

/** `ecosystem.agent.<id>.config.cjs`: the processes, exactly as PM2 gets them. */
export const processFile = stackFile({
  kind: "process-file",
  name: processFileName,
  render: async (context) =>
    await fillFile(templatePath("ecosystem.agent.config.cjs.hbs"), {
      ...context.plan.values,
      header: headerOf(context),
      pm2Home: context.paths.pm2,
      apps: context.plan.processes.map(({ spec }) => toApp(spec)),
    }),
  // Without PATH and the other facts of whoever's shell this is: they are no reason to start anything anew.
  compared: ({ plan }) => JSON.stringify(plan.processes.map(({ spec, ownEnv }) => toApp({ ...spec, env: ownEnv }))),
});
