import { renderEnv } from "../../shared/env-file.ts";
import { envFileName, instructionsFileName, processFileName } from "../../shared/names.ts";
import { templatePath } from "../../shared/paths.ts";
import { toApp } from "../../shared/processes.ts";
import { fillFile } from "../render.ts";
import { fileHeader, stackFile } from "./stack-file.ts";

/** `.env.agent.<id>`: the stack's variables, for the application and for the agent's own shell. */
export const envFile = stackFile({
  kind: "env-file",
  name: envFileName,
  render: async ({ plan }) =>
    await fillFile(templatePath("env.agent.hbs"), { ...plan.values, variables: renderEnv(plan.env) }),
});

/** `CLAUDE.agent.<id>.md`: what the coding agent must know of its stack. */
export const instructions = stackFile({
  kind: "instructions",
  name: instructionsFileName,
  render: async ({ plan, instructionsTemplate }) => {
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
    return `<!-- ${fileHeader(plan.id)}${plan.values.project}). Changes are lost at the next launch. -->\n${text}`;
  },
});

/** `ecosystem.agent.<id>.config.cjs`: the processes, exactly as PM2 gets them. */
export const processFile = stackFile({
  kind: "process-file",
  name: processFileName,
  render: async ({ plan, paths }) =>
    await fillFile(templatePath("ecosystem.agent.config.cjs.hbs"), {
      ...plan.values,
      pm2Home: paths.pm2,
      apps: plan.processes.map(({ spec }) => toApp(spec)),
    }),
  // Without PATH and the other facts of whoever's shell this is: they are no reason to start anything anew.
  compared: ({ plan }) => JSON.stringify(plan.processes.map(({ spec, ownEnv }) => toApp({ ...spec, env: ownEnv }))),
});
