import { availableParallelism } from "node:os";
import { HarnessError } from "./errors.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** One port for each thing that the infra listens on. */
export interface InfraPorts {
  postgres: number;
  s3: number;
  s3Console: number;
  browser: number;
  mailWeb: number;
  mailSmtp: number;
}

/** The variable that moves each port of the infra, and where it lies without one. */
export const infraPortVariables: Record<keyof InfraPorts, { variable: string; port: number }> = {
  postgres: { variable: "AGENT_DB_PORT", port: 15_432 },
  s3: { variable: "AGENT_MINIO_PORT", port: 19_000 },
  s3Console: { variable: "AGENT_MINIO_CONSOLE_PORT", port: 19_001 },
  browser: { variable: "AGENT_BROWSER_PORT", port: 13_001 },
  mailWeb: { variable: "AGENT_MAILPIT_WEB_PORT", port: 18_025 },
  mailSmtp: { variable: "AGENT_MAILPIT_SMTP_PORT", port: 11_025 },
};

/** The ports of the infra on this machine. Throws CONFIG_INVALID for a value that is no port, or one given twice. */
export function infraPorts(env: Env = process.env): InfraPorts {
  const taken = new Map<number, string>();
  const port = (name: keyof InfraPorts): number => {
    const { variable, port: usual } = infraPortVariables[name];
    const value = parsePort(variable, env[variable], usual);
    const other = taken.get(value);
    if (other !== undefined) {
      throw invalid(`${variable} and ${other} are both ${value}.`, `Set ${variable} to another port.`);
    }
    taken.set(value, variable);
    return value;
  };
  return {
    postgres: port("postgres"),
    s3: port("s3"),
    s3Console: port("s3Console"),
    browser: port("browser"),
    mailWeb: port("mailWeb"),
    mailSmtp: port("mailSmtp"),
  };
}

function parsePort(variable: string, text: string | undefined, usual: number): number {
  if (text === undefined || text === "") return usual;
  const value = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= 65_535) return value;
  throw invalid(
    `${variable} is ${JSON.stringify(text)}, which is no port.`,
    `Set ${variable} to a number from 1 to 65535, or take it away for ${usual}.`,
  );
}

const invalid = (message: string, hint: string): HarnessError => new HarnessError("CONFIG_INVALID", message, { hint });

/** The variable that says how many heavy verify stages may run on this machine at the same time. */
export const verifyPermitsVariable = "AGENT_HARNESS_VERIFY_PERMITS";

/** How many heavy verify stages may run at the same time: half of the cores, unless the variable says otherwise. */
export function verifyPermits(env: Env = process.env, cores: number = availableParallelism()): number {
  const text = env[verifyPermitsVariable];
  if (text === undefined || text === "") return Math.max(1, Math.floor(cores / 2));
  if (/^[1-9][0-9]?$/.test(text)) return Number(text);
  throw invalid(
    `${verifyPermitsVariable} is ${JSON.stringify(text)}, which is no number from 1 to 99.`,
    `Set ${verifyPermitsVariable} to how many heavy stages may run at once, or take it away.`,
  );
}

/** The variable that says how often the reaper looks, in ms; for tests. */
export const reaperVariable = "AGENT_HARNESS_REAPER_MS";

/** How often the reaper looks at the stacks, in ms. */
export function reaperInterval(env: Env = process.env): number {
  const text = env[reaperVariable] ?? "";
  return /^[1-9][0-9]{1,6}$/.test(text) ? Number(text) : 15_000;
}

/** The variable that says how many megabytes of memory no launch may take. */
export const memoryReserveVariable = "AGENT_HARNESS_MEMORY_RESERVE_MB";

/** How much memory no launch may take, in bytes: 512 MB or a twentieth of the machine, unless the variable says otherwise. */
export function memoryReserve(totalBytes: number, env: Env = process.env): number {
  const text = env[memoryReserveVariable];
  if (text === undefined || text === "") return Math.max(512 * 2 ** 20, Math.round(totalBytes / 20));
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 2 ** 20;
  throw invalid(
    `${memoryReserveVariable} is ${JSON.stringify(text)}, which is no number of megabytes.`,
    `Set ${memoryReserveVariable} to how many megabytes have to stay free, or take it away.`,
  );
}
