import type { Provider } from "../provider.ts";
import type { ProviderName } from "../session.ts";
import { claudeCode } from "./claude-code.ts";
import { codex } from "./codex.ts";
import { opencode } from "./opencode.ts";
import { pi } from "./pi.ts";

/** Every coding agent that can be run, by its name. */
export const everyProvider = (): ReadonlyMap<ProviderName, Provider> =>
  new Map([claudeCode, codex, opencode, pi].map((provider) => [provider.name, provider]));
