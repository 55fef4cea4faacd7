import type { HomePaths } from "../shared/paths.ts";
import type { Store, StoredSession } from "../store/index.ts";
import type { Provider, Way } from "./provider.ts";
import type { ProviderName, RunWay } from "./session.ts";
import { type SessionFolder, sessionFolder } from "./session-folder.ts";
import type { SessionSettings } from "./settings.ts";
import type { MachineWebhook } from "./webhook-delivery.ts";

/** What everything of this floor that does something is given. */
export interface Context {
  store: Store;
  paths: HomePaths;
  /** The daemon's own environment. */
  env: Readonly<Record<string, string | undefined>>;
  settings: SessionSettings;
  providers: ReadonlyMap<ProviderName, Provider>;
  /** What our home is called in the store. */
  home: string;
  /** This run of the daemon, by the name in its leases. */
  owner: string;
  machineWebhook?: MachineWebhook | undefined;
  /** Told what went wrong where nobody waits for it. */
  report: (problem: unknown, session: string) => void;
}

/** The provider of a session, and the way in which it runs there. */
export function wayOf(
  context: Context,
  row: Pick<StoredSession, "provider" | "runIn">,
): { provider: Provider; way: Way } {
  const provider = context.providers.get(row.provider as ProviderName);
  if (provider === undefined) throw new Error(`No driver for ${row.provider}.`);
  return { provider, way: provider.ways[row.runIn as RunWay] };
}

/** The places of a session. */
export const placeOf = (context: Context, id: string): SessionFolder => sessionFolder(context.paths.home, id);
