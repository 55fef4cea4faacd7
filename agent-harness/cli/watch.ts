import { setTimeout as delay } from "node:timers/promises";
import { type InfraPlace, infraHealth } from "../infra/index.ts";
import {
  openInfraConfig,
  openWatch,
  type RegistryEntry,
  stacksFilter,
  type Watch,
  type WatchFrame,
} from "../stacks/index.ts";
import type { CommandContext } from "./command.ts";
import { homeOf } from "./stack-command.ts";
import { untilUnread } from "./until-unread.ts";
import { usage } from "./usage.ts";
import { openScreen } from "./watch-screen.ts";
import { viewLines } from "./watch-view.ts";

/** How often the view is drawn, in ms; the first times sooner, as answers come. */
const drawMs = 1000;
const firstMs = 250;

export interface WatchedStacks {
  everywhere: boolean;
  /** One stack only. */
  id: number | undefined;
}

/** Shows the state of stacks again and again: on the terminal until somebody leaves it, with --json a document a line. */
export async function watchStatus(which: WatchedStacks, context: CommandContext): Promise<void> {
  if (!context.json && !context.interactive) {
    throw usage("--watch wants a terminal.", "For programs: agent-harness status --watch --json");
  }
  const watch = await open(which, context);
  if (context.json) await printFrames(watch, context);
  else await showFrames(watch, context);
}

async function open({ everywhere, id }: WatchedStacks, context: CommandContext): Promise<Watch> {
  const paths = homeOf(context);
  const filter = await stacksFilter({ cwd: context.cwd, everywhere: everywhere || id !== undefined });
  const choose = (all: readonly RegistryEntry[]): RegistryEntry[] =>
    filter(all).filter((one) => id === undefined || one.id === id);
  let place: InfraPlace | undefined;
  const askInfra = async () => {
    // Once: whoever changes the config while this runs begins it anew.
    place ??= { paths, ...(await openInfraConfig({ cwd: context.cwd, config: context.config, env: context.env })) };
    return await infraHealth(place);
  };
  return openWatch({ paths, choose, askInfra });
}

async function printFrames(watch: Watch, { stdout }: CommandContext): Promise<void> {
  const unread = untilUnread();
  await watch.ready();
  await everySecond(unread, drawMs, async () => stdout(`${JSON.stringify(await watch.look())}\n`));
}

async function showFrames(watch: Watch, { env }: CommandContext): Promise<void> {
  let latest: WatchFrame | undefined;
  const draw = (): void => {
    if (latest !== undefined) screen.draw(viewLines(latest, { ...screen.size(), coloured: !env["NO_COLOR"] }));
  };
  using screen = openScreen(draw);
  await everySecond(screen.left, firstMs, async () => {
    latest = await watch.look();
    draw();
  });
}

/** Does something each second, the first times after `first` ms, until the signal ends it. */
async function everySecond(signal: AbortSignal, first: number, work: () => Promise<void>): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    const start = performance.now();
    await work();
    const pause = (round < 3 ? first : drawMs) - (performance.now() - start);
    await delay(Math.max(50, pause), undefined, { signal }).catch(() => undefined);
  }
}
