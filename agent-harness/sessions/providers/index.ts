import type { Provider } from "../provider.ts";
import type { ProviderName } from "../session.ts";
import { pi } from "./pi.ts";

/** Every coding agent that can be run, by its name. */
export const everyProvider = (): ReadonlyMap<ProviderName, Provider> =>
  new Map([pi].map((provider) => [provider.name, provider]));
