import { z } from "@hono/zod-openapi";
import { callback, projectName, provider, shownCallback, stackId, status, text, time } from "./schemas.ts";

/* What routes about projects take and give. */

export const newProject = z.object({
  name: projectName,
  cwd: text.openapi({ description: "the working directory of its agents, absolute" }),
  stack: stackId.optional(),
  callback: callback.optional(),
});

export const projectChange = z
  .object({ cwd: text.optional(), callback: callback.nullable().optional() })
  .refine((change) => change.cwd !== undefined || change.callback !== undefined, "give cwd, callback, or both");

export const project = z
  .object({
    name: z.string(),
    cwd: z.string(),
    tmuxSession: z.string().openapi({ description: "empty: each agent has a tmux session of its own" }),
    agentCount: z.int(),
    createdAt: time,
    stack: stackId.optional(),
    callback: shownCallback.optional(),
  })
  .openapi("Project");

const projectAgent = z.object({
  id: z.string(),
  provider,
  status,
  tmuxTarget: z.string(),
  lastActivity: time,
  waitsFor: z.string().optional().openapi({ description: "what it asks, in one line" }),
});

export const oneProject = z.object({ project });
export const projectWithAgents = z.object({ project, agents: z.array(projectAgent) });
export const projectList = z.object({ projects: z.array(project) });
