import type { StoredSession } from "./sessions.ts";
import { sqlJson, sqlText } from "./sql.ts";

/** The columns of a session and how their values are kept, one line a field. */
export const sessionColumns: Record<keyof StoredSession, { column: string; kind?: "text" | "json" }> = {
  id: { column: "id" },
  project: { column: "project" },
  provider: { column: "provider" },
  runIn: { column: "run_in" },
  status: { column: "status" },
  reason: { column: "reason", kind: "text" },
  pending: { column: "pending", kind: "json" },
  task: { column: "task", kind: "text" },
  model: { column: "model" },
  subscription: { column: "subscription" },
  stack: { column: "stack" },
  permissions: { column: "permissions" },
  cwd: { column: "cwd" },
  callback: { column: "callback", kind: "json" },
  createdAt: { column: "created_at" },
  lastActivity: { column: "last_activity" },
  attachCommand: { column: "attach_command" },
  journal: { column: "journal" },
  providerSessionId: { column: "provider_session_id", kind: "text" },
  providerSessionFile: { column: "provider_session_file", kind: "text" },
  state: { column: "state", kind: "json" },
  journalOffset: { column: "journal_offset" },
  firstEventId: { column: "first_event_id" },
  keeperPid: { column: "keeper_pid" },
  keeperStarted: { column: "keeper_started" },
  home: { column: "home" },
  leaseOwner: { column: "lease_owner" },
  leaseUntil: { column: "lease_until" },
};

/** What can be changed: leases have functions of their own, and a session stays what and where it is. */
type Changeable = Omit<
  StoredSession,
  "id" | "project" | "provider" | "createdAt" | "home" | "leaseOwner" | "leaseUntil"
>;

/** A change: what is undefined stays, what is null is taken away. */
export type SessionChange = { [Field in keyof Changeable]?: Changeable[Field] | null | undefined };

/** The columns that a change names, without the project, and their values. */
export function toSql(change: Partial<Record<keyof StoredSession, unknown>>): { columns: string[]; values: unknown[] } {
  const columns: string[] = [];
  const values: unknown[] = [];
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined || name === "project") continue;
    const { column, kind } = sessionColumns[name as keyof StoredSession];
    columns.push(column);
    values.push(toValue(kind, value));
  }
  return { columns, values };
}

function toValue(kind: "text" | "json" | undefined, value: unknown): unknown {
  if (value === null) return null;
  if (kind === "json") return sqlJson(value);
  return kind === "text" ? sqlText(String(value)) : value;
}
