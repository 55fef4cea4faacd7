import { portProblems } from "./config-port-checks.ts";
import type { ProjectConfig } from "./config-schema.ts";
import type { ConfigPath, Finding } from "./config-source.ts";
import { commandProblems, folderProblems } from "./config-text-checks.ts";
import { nearest } from "./nearest.ts";
import { reservedReason } from "./reserved-env.ts";
import type { InfraPorts } from "./settings.ts";

/** Everything that is wrong with a config whose form is right: names that lead nowhere, cycles, ports that meet … */
export function checkConfig(config: ProjectConfig, infra: Partial<InfraPorts>): Finding[] {
  return [
    ...dependencyProblems(config),
    ...aliasProblems(config),
    ...portProblems(config, infra),
    ...environmentProblems(config),
    ...commandProblems(config),
    ...folderProblems(config),
    ...stageProblems(config),
    ...urlProblems(config),
  ];
}

function dependencyProblems({ processes }: ProjectConfig): Finding[] {
  const names = Object.keys(processes);
  const unknown = Object.entries(processes).flatMap(([name, process]) =>
    process.dependsOn.flatMap((dependency, index) => {
      if (Object.hasOwn(processes, dependency)) return [];
      const near = nearest(dependency, names);
      const hint = near === undefined ? "" : `; did you mean \`${near}\`?`;
      return [
        {
          path: ["processes", name, "dependsOn", index],
          message: `there is no process \`${dependency}\`${hint}`,
        },
      ];
    }),
  );
  const cycle = findCycle(processes);
  if (cycle === undefined) return unknown;
  const path = ["processes", cycle[0] ?? "", "dependsOn"];
  return [...unknown, { path, message: `the processes wait for each other: ${cycle.join(" -> ")}` }];
}

/** The first circle of dependencies, its first name repeated at the end. */
function findCycle(processes: ProjectConfig["processes"]): string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, trail: string[]): string[] | undefined => {
    const start = trail.indexOf(name);
    if (start >= 0) return [...trail.slice(start), name];
    if (done.has(name)) return undefined;
    for (const dependency of processes[name]?.dependsOn ?? []) {
      const cycle = visit(dependency, [...trail, name]);
      if (cycle !== undefined) return cycle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of Object.keys(processes)) {
    const cycle = visit(name, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

function aliasProblems({ processes }: ProjectConfig): Finding[] {
  const owners = new Map(Object.keys(processes).map((name) => [name, `the process \`${name}\``]));
  const found: Finding[] = [];
  for (const [name, { aliases }] of Object.entries(processes)) {
    for (const [index, alias] of aliases.entries()) {
      const owner = owners.get(alias);
      if (owner === undefined) owners.set(alias, `an alias of \`${name}\``);
      else found.push({ path: ["processes", name, "aliases", index], message: `\`${alias}\` is already ${owner}` });
    }
  }
  return found;
}

function environmentProblems(config: ProjectConfig): Finding[] {
  const reserved = (path: ConfigPath, variables: object): Finding[] =>
    Object.keys(variables).flatMap((variable) => {
      const reason = reservedReason(variable);
      return reason === undefined ? [] : [{ path: [...path, variable], message: `\`${variable}\` ${reason}` }];
    });
  return [
    ...reserved(["env"], config.env),
    ...Object.entries(config.processes).flatMap(([name, { env }]) => reserved(["processes", name, "env"], env)),
  ];
}

function stageProblems({ verify }: ProjectConfig): Finding[] {
  const first = new Map<string, number>();
  return verify.stages.flatMap(({ name }, index) => {
    if (!first.has(name)) {
      first.set(name, index);
      return [];
    }
    return [{ path: ["verify", "stages", index, "name"], message: `there is a stage \`${name}\` already` }];
  });
}

function urlProblems({ infra }: ProjectConfig): Finding[] {
  const urls: [ConfigPath, string | undefined, string[]][] = [
    [["infra", "postgres", "url"], infra.postgres.url, ["postgres", "postgresql"]],
    [["infra", "s3", "url"], infra.s3.url, ["http", "https"]],
    [["infra", "browser", "url"], infra.browser.url, ["ws", "wss"]],
    [["infra", "mail", "smtpUrl"], infra.mail.smtpUrl, ["smtp"]],
    [["infra", "mail", "webUrl"], infra.mail.webUrl, ["http", "https"]],
  ];
  return urls.flatMap(([path, url, schemes]) => {
    const scheme = url !== undefined && URL.canParse(url) ? new URL(url).protocol.slice(0, -1) : "";
    if (url === undefined || schemes.includes(scheme)) return [];
    // Without the value: it may hold a password.
    return [{ path, message: `must be a URL that begins with \`${schemes[0]}://\`` }];
  });
}
