import { type Draft, newMemory } from "../sessions/memory.ts";

/** A session of the fake provider that was just started, for tests of what changes one. */
export function newDraft(change: Partial<Draft> = {}): Draft {
  return {
    id: "pi-brave-otter",
    project: "demo",
    provider: "pi",
    runIn: "headless",
    status: "starting",
    reason: undefined,
    lastActivity: new Date(0),
    providerSessionId: undefined,
    providerSessionFile: undefined,
    memory: newMemory({ task: "say hello", turns: 0 }, 0),
    events: [],
    messages: [],
    writes: [],
    ...change,
  };
}

/** The events of a draft, in short: their types, and the status that each change leads to. */
export const eventsOf = (draft: Draft): string[] =>
  draft.events.map(({ type, data }) => (type === "status_changed" ? `→${String(data["to"])}` : type));
