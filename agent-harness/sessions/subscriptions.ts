import { join } from "node:path";
import type { HomePaths } from "../shared/paths.ts";
import type { Subscription } from "./sessions.ts";
import type { SessionSettings, SubscriptionSettings } from "./settings.ts";

/** The private home of a credential profile. */
export const profileHome = (paths: HomePaths, name: string, { home }: Pick<SubscriptionSettings, "home">): string =>
  home ?? join(paths.home, "profiles", name);

/** The credential profiles, without what is in them. */
export function subscriptionsOf(paths: HomePaths, { subscriptions }: SessionSettings): Subscription[] {
  return Object.entries(subscriptions).map(([id, profile]) => {
    const variables = Object.keys(profile.env);
    const source = variables.length > 0 ? `variables ${variables.join(", ")}` : profileHome(paths, id, profile);
    return { id, provider: profile.provider, source };
  });
}
