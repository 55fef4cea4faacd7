/** Where the dev server listens, and which API it passes requests on to. */
export interface DevEnv {
  port: number;
  apiUrl: string;
  cacheFolder: string;
}

/**
 * Reads the dev server's environment. There is no default for a port: a front end that guesses its API shows somebody
 * else's data as if it were its own.
 */
export function readDevEnv(env: Readonly<Record<string, string | undefined>>): DevEnv {
  const agent = env["AGENT_ID"] ?? "";
  if (!/^\d*$/.test(agent)) throw new Error(`AGENT_ID must be a number, not ${JSON.stringify(agent)}.`);
  return {
    port: port("FE_PORT", env["FE_PORT"]),
    apiUrl: `http://127.0.0.1:${port("PORT", env["PORT"])}`,
    // Two dev servers in one folder would overwrite each other's cache.
    cacheFolder: agent === "" ? "node_modules/.vite" : `node_modules/.vite-agent-${agent}`,
  };
}

function port(name: string, text: string | undefined): number {
  if (!text)
    throw new Error(`${name} is missing: set it to the port of ${name === "PORT" ? "the API" : "this server"}.`);
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) {
    throw new Error(`${name} must be a port, not ${JSON.stringify(text)}.`);
  }
  return value;
}
