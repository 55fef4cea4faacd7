/* Which of opencode's events are worth a line of the journal. Pieces of a text are not: the whole comes at its end. */

const noise = new Set(
  `server.connected server.heartbeat plugin.added catalog.updated integration.updated integration.connection.updated
  reference.updated models-dev.refreshed message.part.delta session.diff lsp.updated lsp.client.diagnostics
  file.watcher.updated project.updated project.directories.updated tui.toast.show mcp.tools.changed`.split(/\s+/),
);

type Event = Record<string, unknown>;
const record = (value: unknown): Event => (typeof value === "object" && value !== null ? (value as Event) : {});

/** Keeps what says something new. A part that is under way is told again with all of its output at each step. */
export class EventFilter {
  #told = new Map<string, string>();

  keeps(event: Event): boolean {
    const type = String(event["type"]);
    const properties = record(event["properties"]);
    if (noise.has(type)) return false;
    if (type === "message.part.updated") return this.#keepsPart(record(properties["part"]));
    // Its title, its tokens: told at each step.
    if (type === "session.updated") return false;
    if (type === "session.status" && record(properties["status"])["type"] === "idle") this.#told.clear();
    return true;
  }

  #keepsPart(part: Event): boolean {
    if (part["type"] === "text" || part["type"] === "reasoning") {
      // A text of a person has no times; one of the model is whole when it has an end.
      const time = record(part["time"]);
      return time["start"] === undefined || time["end"] !== undefined;
    }
    if (part["type"] !== "tool") return true;
    const state = record(part["state"]);
    const id = String(part["id"]);
    const digest = JSON.stringify([state["status"], state["input"]]);
    if (this.#told.get(id) === digest) return false;
    this.#told.set(id, digest);
    return true;
  }
}
