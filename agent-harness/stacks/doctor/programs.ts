import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { lookAtDocker, probeCompose, serviceIds } from "../../infra/index.ts";
import { errorNumber } from "../../shared/errors.ts";
import { type Check, type DoctorContext, fine, found, type Level, type Mendable } from "./finding.ts";

const run = promisify(execFile);

/** The oldest versions that will do: of Node, and of git for worktrees. */
const oldest = { node: [20, 19], git: [2, 36] } as const;

/** The programs that the harness runs, or is run by. */
export const checkPrograms: Check = async (context) => {
  const [git, ps, tmux, docker] = await Promise.all([checkGit(), checkPs(), checkTmux(), checkDocker(context)]);
  return [judgeNode(process.versions.node), git, ps, tmux, ...docker];
};

/** Whether a version is another one or later. */
export function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** What to say of a version of Node. */
export function judgeNode(version: string): Mendable {
  if (isAtLeast(version, oldest.node)) return fine("DOCTOR_NODE", `Node ${version}`);
  return found("DOCTOR_NODE", "error", {
    what: `Node is ${version}`,
    cause: `${oldest.node.join(".")} is the oldest that will do`,
    fix: `nvm install ${oldest.node[0]} (or from https://nodejs.org)`,
  });
}

/** What to say of what `git --version` printed; undefined where there is no git. */
export function judgeGit(printed: string | undefined): Mendable {
  const version = /\d+\.\d+[.\d]*/.exec(printed ?? "")?.[0];
  if (version === undefined) {
    const cause = "repositories are told apart by it, and worktrees made";
    return found("DOCTOR_GIT", "error", { what: "git was not found", cause, fix: install("git") });
  }
  if (isAtLeast(version, oldest.git)) return fine("DOCTOR_GIT", `git ${version}`);
  const cause = `launch --worktree needs ${oldest.git.join(".")}`;
  return found("DOCTOR_GIT", "warning", { what: `git is ${version}`, cause, fix: install("git") });
}

const install = (name: string): string => `apt-get install ${name} (macOS: brew install ${name})`;

const checkGit = async (): Promise<Mendable> => judgeGit(await printed("git", ["--version"]));

async function checkPs(): Promise<Mendable> {
  if ((await printed("ps", ["-o", "pid=", "-p", String(process.pid)])) !== undefined) return fine("DOCTOR_PS", "ps");
  const cause = "without it no process tree can be stopped";
  return found("DOCTOR_PS", "error", { what: "ps was not found", cause, fix: install("procps") });
}

async function checkTmux(): Promise<Mendable> {
  const version = await printed("tmux", ["-V"]);
  if (version !== undefined) return fine("DOCTOR_TMUX", version.trim());
  const cause = "stacks run without it; sessions of coding agents run in it";
  return found("DOCTOR_TMUX", "note", { what: "tmux was not found", cause, fix: install("tmux") });
}

async function checkDocker({ config, env, infra }: DoctorContext): Promise<Mendable[]> {
  const driver = infra?.driver ?? config.driver;
  const { engine, compose } = await lookAtDocker(env);
  const level = levelOfDocker(driver);
  const wanted = driver === "embedded" ? "the services run without it" : "the services cannot run by compose";
  const say = (code: "DOCTOR_DOCKER" | "DOCTOR_COMPOSE", { usable, detail, hint }: typeof compose): Mendable =>
    usable || level === "ok"
      ? fine(code, usable ? detail : `${detail} (not needed: ${wanted})`)
      : found(code, level, {
          what: detail,
          cause: driver === "auto" ? `${wanted}; embedded is taken instead` : wanted,
          fix: hint,
        });
  if (!engine.usable || !compose.usable || level === "ok")
    return [say("DOCTOR_DOCKER", engine), say("DOCTOR_COMPOSE", compose)];
  // Both work; whether the images can be had is the rest of what the choice of a driver asks.
  const { usable, reason } = await probeCompose({ env, services: serviceIds });
  const hint = "docker login, or set AGENT_DB_IMAGE and its kin to images that you have";
  return [say("DOCTOR_DOCKER", { usable, detail: reason, hint }), say("DOCTOR_COMPOSE", compose)];
}

/** How bad it is when Docker does not work, by the driver that is used or wanted. */
export const levelOfDocker = (driver: "auto" | "compose" | "embedded"): Level =>
  (({ auto: "note", compose: "error", embedded: "ok" }) as const)[driver];

/** What a program prints; undefined where there is none of that name. */
async function printed(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await run(program, [...args], { timeout: 10_000 })).stdout;
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return undefined;
    throw error;
  }
}
