import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { removeFolder } from "../shared/paths.ts";
import type { StoredSession } from "../store/index.ts";
import { type Context, placeOf, wayOf } from "./context.ts";
import { memoryOf } from "./draft.ts";
import { NotOurs } from "./held-session.ts";
import { startKeeper } from "./keeper.ts";
import { type Draft, memoryOfNextRun } from "./memory.ts";
import { prepareFiles } from "./prepare-files.ts";
import { endSession } from "./process-end.ts";
import type { StartRequest } from "./provider.ts";
import { sessionPlace } from "./session-env.ts";
import { findKeeperRecord } from "./session-folder.ts";
import { providerSettingsOf } from "./settings.ts";

type Change = (work: (draft: Draft) => void) => Promise<void>;

/**
 * Makes the start that is owed to a session. What the provider remembers from its plan is stored before the program runs; a
 * start that a killed daemon had made already is taken as it is. Returns whether the program came to run.
 */
export async function launch(context: Context, row: StoredSession, change: Change): Promise<boolean> {
  const { launching } = memoryOf(row);
  if (launching === undefined) return true;
  const place = placeOf(context, row.id);
  const options = { runIn: row.runIn as StartRequest["runIn"], tmux: context.paths.tmux, run: launching.run };
  if ((await findKeeperRecord(place))?.run === launching.run) {
    // It was made; with the same run, this only says what came of it.
    return (await startKeeper(place, {}, options)).state === "running";
  }
  await mkdir(place.folder, { recursive: true, mode: 0o700 });
  const { way } = wayOf(context, row);
  const { keeper, files, state } = way.plan(await startRequest(context, row));
  await prepareFiles(files);
  await change((draft) => {
    draft.memory = memoryOfNextRun(draft.memory, state, Date.now());
  });
  await startKeeper(place, keeper, options);
  if ((await context.store.sessions.find(row.id)) !== undefined) return true;
  // Deleted meanwhile by another daemon, which found nothing to end yet.
  await endSession(place);
  await removeFolder(place.folder, context.paths.home);
  throw new NotOurs(row.id);
}

/** A start that came to nothing before the program ran is made again, as another one. */
export function noteVainStart(draft: Draft): void {
  const { launching } = draft.memory;
  if (launching !== undefined) draft.memory.launching = { ...launching, run: randomUUID() };
}

async function startRequest(context: Context, row: StoredSession): Promise<StartRequest> {
  const { paths, settings, env } = context;
  const { provider } = wayOf(context, row);
  const providers = [...context.providers.values()];
  const own = { cwd: row.cwd, stack: row.stack, subscription: row.subscription };
  const place = await sessionPlace({ paths, settings, env, provider, providers, ...own });
  const { folder, socket } = placeOf(context, row.id);
  const { command, extraArgs, modelUrl, modelKey } = providerSettingsOf(settings, provider.name);
  const { task, resume } = memoryOf(row).launching ?? {};
  return {
    id: row.id,
    cwd: place.cwd,
    runIn: row.runIn as StartRequest["runIn"],
    folder,
    socket,
    env: place.env,
    permissions: (row.permissions ?? settings.permissions) as StartRequest["permissions"],
    settings: {
      extraArgs,
      ...(command === undefined ? {} : { command }),
      ...(modelUrl === undefined ? {} : { modelUrl }),
      ...(modelKey === undefined ? {} : { modelKey }),
    },
    ...(task === undefined ? {} : { task }),
    ...(resume === undefined || resume === "" ? {} : { resume }),
    ...(row.model === undefined ? {} : { model: row.model }),
    ...(place.instructions === undefined ? {} : { instructions: place.instructions }),
  };
}
