import type { Provider } from "../sessions/provider.ts";
import type { ProviderName } from "../sessions/session.ts";

/** A provider for fake-cli.mjs, under the name of a real one. */
export function fakeProvider(name?: ProviderName): Provider;
