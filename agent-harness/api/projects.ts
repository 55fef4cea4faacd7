import type { OpenAPIHono } from "@hono/zod-openapi";
import { projectJson, tmuxTargetOf } from "./json.ts";
import type { ApiParts } from "./parts.ts";
import { present } from "./present.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { newProject, oneProject, projectChange, projectList, projectWithAgents } from "./schemas-project.ts";

/** Routes about projects. */
export function addProjectRoutes(app: OpenAPIHono, { sessions, webhooks }: ApiParts): KnownRoute[] {
  const requirePostable = (callback: { url: string } | null | undefined): void => {
    if (callback) webhooks.requireTarget(callback.url);
  };
  return [
    addRoute(app, {
      method: "post",
      path: "/projects",
      summary: "Creates a project: a named working directory",
      body: newProject,
      answer: { status: 201, description: "the project", schema: oneProject },
      run: async ({ body, c }) => {
        requirePostable(body.callback);
        return c.json({ project: projectJson(await sessions.createProject(present(body))) }, 201);
      },
    }),
    addRoute(app, {
      method: "get",
      path: "/projects",
      summary: "Lists the projects",
      answer: { status: 200, description: "the projects", schema: projectList },
      run: async ({ c }) => c.json({ projects: (await sessions.listProjects()).map(projectJson) }),
    }),
    addRoute(app, {
      method: "get",
      path: "/projects/{name}",
      summary: "Shows a project and its agents",
      answer: { status: 200, description: "the project and its agents", schema: projectWithAgents },
      run: async ({ params, c }) => {
        const project = projectJson(await sessions.getProject(params.name));
        const agents = (await sessions.list(params.name)).map((one) => ({
          id: one.id,
          provider: one.provider,
          status: one.status,
          tmuxTarget: tmuxTargetOf(one),
          lastActivity: one.lastActivity.toISOString(),
          ...present({ waitsFor: one.pending?.title }),
        }));
        return c.json({ project, agents });
      },
    }),
    addRoute(app, {
      method: "patch",
      path: "/projects/{name}",
      summary: "Changes a project's directory or callback; null takes the callback away",
      body: projectChange,
      answer: { status: 200, description: "the project", schema: oneProject },
      run: async ({ params, body, c }) => {
        requirePostable(body.callback);
        return c.json({ project: projectJson(await sessions.changeProject(params.name, present(body))) });
      },
    }),
    addRoute(app, {
      method: "delete",
      path: "/projects/{name}",
      summary: "Deletes a project; ends its agents and everything that they started",
      answer: { status: 204, description: "it is gone" },
      run: async ({ params, c }) => {
        await sessions.deleteProject(params.name);
        return c.body(null, 204);
      },
    }),
  ];
}
