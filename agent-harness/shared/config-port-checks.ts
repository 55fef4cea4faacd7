import type { ProjectConfig } from "./config-schema.ts";
import type { Finding } from "./config-source.ts";
import { agentIds, portStep } from "./names.ts";
import { suggest } from "./nearest.ts";
import { type InfraPorts, infraPortVariables } from "./settings.ts";

/** Ports that would meet for some agent ids, or that a process names and nobody has. */
export function portProblems(config: ProjectConfig, infra: Partial<InfraPorts>): Finding[] {
  return [...familyProblems(config), ...infraProblems(config, infra), ...processProblems(config)];
}

function familyProblems({ ports }: ProjectConfig): Finding[] {
  const families = Object.entries(ports);
  return families.flatMap(([name, base], index) =>
    families.slice(0, index).flatMap(([earlier, earlierBase]) => {
      const meeting = meet(earlierBase, base);
      if (meeting === undefined) return [];
      const [one, other] = meeting;
      const port = earlierBase + one * portStep;
      return [
        {
          path: ["ports", name],
          message: `${base} meets \`${earlier}\` (${earlierBase}): ${port} would be ${earlier} of agent ${one} and ${name} of agent ${other}`,
        },
      ];
    }),
  );
}

/** Two agent ids, one of each base, whose ports are the same number. */
function meet(first: number, second: number): [number, number] | undefined {
  const steps = (second - first) / portStep;
  if (!Number.isInteger(steps) || Math.abs(steps) > agentIds.max - agentIds.min) return undefined;
  return steps >= 0 ? [agentIds.min + steps, agentIds.min] : [agentIds.min, agentIds.min - steps];
}

function infraProblems({ ports }: ProjectConfig, infra: Partial<InfraPorts>): Finding[] {
  return Object.entries(ports).flatMap(([name, base]) =>
    Object.entries(infraPortVariables).flatMap(([service, { variable }]) => {
      const taken = infra[service as keyof InfraPorts];
      const id = taken === undefined ? Number.NaN : (taken - base) / portStep;
      if (!Number.isInteger(id) || id < agentIds.min || id > agentIds.max) return [];
      return [
        {
          path: ["ports", name],
          message: `${base} gives agent ${id} the port ${taken}, which the infra has (${variable} moves it)`,
        },
      ];
    }),
  );
}

function processProblems({ ports, processes }: ProjectConfig): Finding[] {
  const owners = new Map<string, string>();
  return Object.entries(processes).flatMap(([name, { port, health }]): Finding[] => {
    if (port === undefined) {
      if (health === undefined) return [];
      return [{ path: ["processes", name, "health"], message: "a health check needs `port`, the port to ask" }];
    }
    const path = ["processes", name, "port"];
    if (!Object.hasOwn(ports, port)) {
      return [{ path, message: `there is no port \`${port}\`${suggest(port, Object.keys(ports), "`ports` has")}` }];
    }
    const owner = owners.get(port);
    if (owner !== undefined) return [{ path, message: `\`${port}\` belongs to the process \`${owner}\` already` }];
    owners.set(port, name);
    return [];
  });
}
