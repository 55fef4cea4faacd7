import { reaperNotNeeded, runReaper } from "../stacks/index.ts";
import { command } from "./command.ts";
import { homeOf } from "./stack-command.ts";

export const reaperCommand = command<void>({
  usage: "reaper",
  summary: "stop stacks that are idle, and tear down those whose time is over; a launch starts this by itself",
  hidden: true,
  ownJson: true,
  run: async (_, __, context) => await runReaper(homeOf(context), context.env),
  exitCode: () => reaperNotNeeded,
});
