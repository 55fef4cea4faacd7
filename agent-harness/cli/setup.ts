import { type SetupResult, setup } from "../stacks/index.ts";
import { command } from "./command.ts";
import { sizeText } from "./output.ts";
import { duration } from "./progress.ts";
import { driverOption, openProjectOf, withDriver } from "./stack-command.ts";

export const setupCommand = command<SetupResult>({
  usage: "setup",
  summary: "start infra, build the template database when the project's files have changed, fill the pool",
  options: [driverOption],
  run: async (_, options, context) => await setup(await openProjectOf(withDriver(context, options)), context.progress),
  text: setupText,
});

/** What setup chose, and why. */
export function setupText({ template, pool, ms }: SetupResult): string {
  const built = template.built ? "built" : "up to date";
  return [
    `Ready (${duration(ms)}).`,
    `template database  ${template.name}, ${sizeText(template.sizeBytes)}, ${built}`,
    `clone strategy     ${template.strategy}: ${template.reason}`,
    `pool               ${pool.ready} ready (${pool.made} made now)`,
    "",
  ].join("\n");
}
