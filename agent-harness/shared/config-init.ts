import { access } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { configFileNames } from "./config.ts";
import type { Detected, ProcessGuess } from "./config-detect.ts";
import { detectLanguages } from "./config-detect-languages.ts";
import { detectScripts } from "./config-detect-scripts.ts";
import { type PlacedProcess, renderConfig } from "./config-init-text.ts";
import { HarnessError } from "./errors.ts";
import { writeFileAtomic } from "./files.ts";
import { slug } from "./names.ts";

/** A first project config and what it was guessed from, a line each. */
export interface InitialConfig {
  yaml: string;
  found: string[];
}

/** A commented project config for the repository in `folder`. It always loads; every guess says what it is from. */
export async function initialConfig(folder: string): Promise<InitialConfig> {
  const place = resolve(folder);
  const detected = merge(await detectScripts(place), await detectLanguages(place));
  const { ports, processes } = placePorts(detected);
  const name = detected.name ?? { value: projectName(place), from: "the folder's name" };
  return {
    yaml: renderConfig({ ...detected, name, ports, processes }),
    found: [
      ...detected.found,
      ...detected.processes.map(({ value, from }) => `process ${value.name}: ${from}`),
      ...detected.databases.map(({ from }) => `database: ${from}`),
      ...detected.checks.map(({ value, from }) => `verify ${value.stage}: ${from}`),
    ],
  };
}

export interface InitOptions {
  /** Replace a project config that stands there already. */
  force?: boolean | undefined;
}

/** Writes the first project config of `folder` and returns its path. Throws CONFIG_EXISTS where there is one. */
export async function writeInitialConfig(
  folder: string,
  options: InitOptions = {},
): Promise<InitialConfig & { path: string }> {
  const place = resolve(folder);
  const existing = await firstExisting(configFileNames.map((name) => join(place, name)));
  if (existing !== undefined && options.force !== true) {
    throw new HarnessError("CONFIG_EXISTS", `${existing} exists already.`, {
      hint: "See what is in force with `agent-harness config`, or write it anew: agent-harness init --force",
      context: { path: existing },
    });
  }
  const initial = await initialConfig(place);
  const path = existing ?? join(place, configFileNames[0]);
  await writeFileAtomic(path, initial.yaml, { mode: 0o644 });
  return { ...initial, path };
}

async function firstExisting(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

function merge(first: Detected, second: Detected): Detected {
  return {
    name: first.name ?? second.name,
    processes: uniqueNames([...first.processes, ...second.processes]),
    checks: [...first.checks, ...second.checks],
    databases: [...first.databases, ...second.databases],
    found: [...first.found, ...second.found],
  };
}

/** Two packages may end in the same word; the later ones are numbered. */
function uniqueNames(processes: Detected["processes"]): Detected["processes"] {
  const taken = new Set<string>();
  return processes.map(({ value, from }) => {
    let name = value.name;
    for (let number = 2; taken.has(name); number += 1) name = `${value.name}-${number}`;
    taken.add(name);
    return { value: { ...value, name }, from };
  });
}

/** The usual ports, and for each further listener a family of its own: every last digit is one family. */
function placePorts({ processes }: Detected): { ports: Record<string, number>; processes: PlacedProcess[] } {
  const ports: Record<string, number> = { frontend: 3000, api: 8000, scheduler: 8001, debug: 9200 };
  const used = new Set<string>();
  const place = (process: ProcessGuess): string | undefined => {
    if (process.role === "other") return undefined;
    const usual = process.role === "frontend" ? "frontend" : "api";
    if (!used.has(usual)) {
      used.add(usual);
      return usual;
    }
    const digit = Object.keys(ports).length - 2;
    if (digit > 9) return undefined;
    const name = Object.hasOwn(ports, process.name) ? `${process.name}-${digit}` : process.name;
    ports[name] = (process.role === "frontend" ? 3000 : 8000) + digit;
    return name;
  };
  return { processes: processes.map(({ value, from }) => ({ ...value, from, port: place(value) })), ports };
}

function projectName(folder: string): string {
  const name = slug(basename(folder));
  return /^[a-z]/.test(name) ? name : `p-${name}`;
}
