import { setTimeout as delay } from "node:timers/promises";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { asHarnessError } from "../shared/errors.ts";
import type { ApiParts } from "./parts.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { provider } from "./schemas.ts";

const health = z.object({
  uptime: z.number().openapi({ description: "seconds" }),
  projects: z.int(),
  agents: z.int(),
  tmuxAvailable: z.boolean(),
  version: z.string(),
  store: z.enum(["ok", "unavailable"]),
});

const subscriptions = z.object({
  subscriptions: z.array(z.object({ id: z.string(), provider, source: z.string() })),
});

/** Who asks for health wants to know now. */
const storeLimitMs = 2000;

/** Routes about the server itself. */
export function addSystemRoutes(app: OpenAPIHono, parts: ApiParts): KnownRoute[] {
  const started = performance.now();
  const counts = keepCounts(parts);
  return [
    addRoute(app, {
      method: "get",
      path: "/health",
      summary: "Says that the server lives; needs no token",
      open: true,
      answer: { status: 200, description: "it lives", schema: health },
      run: async ({ c }) => {
        const [counted, tmuxAvailable] = await Promise.all([counts(), parts.tmuxAvailable()]);
        const uptime = Math.floor((performance.now() - started) / 1000);
        const { projects, agents, store } = counted;
        return c.json({ uptime, projects, agents, tmuxAvailable, version: parts.version, store });
      },
    }),
    addRoute(app, {
      method: "get",
      path: "/subscriptions",
      summary: "Lists the credential profiles that an agent can be started with",
      answer: { status: 200, description: "the profiles, without credentials", schema: subscriptions },
      run: async ({ c }) => c.json({ subscriptions: await parts.sessions.listSubscriptions() }),
    }),
  ];
}

interface Counts {
  projects: number;
  agents: number;
  store: "ok" | "unavailable";
}

/** How many projects and agents there are; while the store is away, or too slow to tell, as many as there were. */
function keepCounts({ sessions }: ApiParts): () => Promise<Counts> {
  let last = { projects: 0, agents: 0 };
  const ask = async (): Promise<Counts> => {
    try {
      const all = await sessions.listProjects();
      last = { projects: all.length, agents: all.reduce((sum, one) => sum + one.agentCount, 0) };
      return { ...last, store: "ok" };
    } catch (error) {
      if (asHarnessError(error).kind !== "unavailable") throw error;
      return { ...last, store: "unavailable" };
    }
  };
  return async () => {
    const answered = new AbortController();
    const late = delay(storeLimitMs, undefined, { signal: answered.signal }).then(
      (): Counts => ({ ...last, store: "unavailable" }),
      () => undefined,
    );
    const counts = await Promise.race([ask(), late]);
    answered.abort();
    return counts ?? { ...last, store: "ok" };
  };
}
