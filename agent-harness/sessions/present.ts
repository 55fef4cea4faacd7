import { dirname } from "node:path";
import type { StoredProject, StoredSession } from "../store/index.ts";
import type { Pending, ProviderName, RunWay, SessionStatus } from "./session.ts";
import type { Callback, Project, Session } from "./sessions.ts";
import { tmuxTarget } from "./tmux.ts";

/** A stored session as the doors see it. */
export function presentSession(row: StoredSession): Session {
  const { id, project, task, cwd, createdAt, lastActivity, attachCommand, journal } = row;
  return {
    id,
    project,
    provider: row.provider as ProviderName,
    runIn: row.runIn as RunWay,
    status: row.status as SessionStatus,
    task,
    cwd,
    createdAt,
    lastActivity,
    attachCommand,
    journal,
    folder: dirname(journal),
    ...(row.runIn === "tmux" ? { tmuxTarget: tmuxTarget(id) } : {}),
    ...(row.reason === undefined ? {} : { reason: row.reason }),
    ...(row.pending === undefined ? {} : { pending: row.pending as Pending }),
    ...(row.model === undefined ? {} : { model: row.model }),
    ...(row.subscription === undefined ? {} : { subscription: row.subscription }),
    ...(row.stack === undefined ? {} : { stack: row.stack }),
    ...(row.callback === undefined ? {} : { callback: row.callback as Callback }),
    ...(row.providerSessionId === undefined ? {} : { providerSessionId: row.providerSessionId }),
    ...(row.providerSessionFile === undefined ? {} : { providerSessionFile: row.providerSessionFile }),
  };
}

/** A stored project as the doors see it. */
export function presentProject({ callback, ...project }: StoredProject): Project {
  return { ...project, ...(callback === undefined ? {} : { callback: callback as Callback }) };
}
