import { stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { canReflink, lookAtDocker } from "../../infra/index.ts";
import { configSchema } from "../../shared/config-schema.ts";
import { worktreeRoot } from "../worktree/request.ts";
import { type Check, type DoctorContext, fine, found, type Mendable } from "./finding.ts";

const gib = 1024 ** 3;
/** Below this a launch may fail at any step. */
const littleBytes = gib;
const fewBytes = 5 * gib;
/** Parts of all inodes that are free. */
const littleInodes = 0.01;
const fewInodes = 0.05;

/** Room on the file systems that everything of ours lies on. */
export const checkSpace: Check = async (context) => {
  const places = await listPlaces(context);
  const seen = new Map<number, { path: string; names: string[] }>();
  for (const { name, path } of places) {
    const there = await nearestThere(path);
    const { dev } = await stat(there);
    const known = seen.get(dev);
    if (known === undefined) seen.set(dev, { path: there, names: [name] });
    else known.names.push(name);
  }
  const findings = [...seen.values()].map(async ({ path, names }) => {
    const { bavail, bsize, files, ffree } = await statfs(path);
    const where = `${path} (${names.join(", ")})`;
    return [judgeDisk(where, bavail * bsize), judgeInodes(where, { files, free: ffree })];
  });
  return (await Promise.all(findings)).flat();
};

async function listPlaces({ paths, env, infra, project }: DoctorContext): Promise<{ name: string; path: string }[]> {
  const places = [
    { name: "the home", path: paths.home },
    { name: "worktrees", path: rootOf({ project }) },
    { name: "temporary files", path: tmpdir() },
  ];
  if (infra?.driver === "embedded") return [...places, { name: "Postgres", path: paths.postgresData }];
  const folder = infra?.driver === "compose" ? (await lookAtDocker(env)).engine.dataFolder : undefined;
  return folder === undefined ? places : [...places, { name: "Docker", path: folder }];
}

const rootOf = ({ project }: Pick<DoctorContext, "project">): string =>
  worktreeRoot(project?.config.worktree ?? configSchema.parse({}).worktree, project?.repository);

/** What to say of the free bytes of a file system. */
export function judgeDisk(where: string, free: number): Mendable {
  const text = `${(free / gib).toFixed(1)} GiB free in ${where}`;
  if (free >= fewBytes) return fine("DOCTOR_DISK", text);
  const cause = free < littleBytes ? "a launch may fail at any step" : "each stack, clone and worktree takes some";
  return found("DOCTOR_DISK", free < littleBytes ? "error" : "warning", {
    what: `only ${text}`,
    cause,
    fix: "agent-harness gc, then: docker system prune, or delete what nobody needs",
  });
}

/** What to say of the inodes of a file system; some have no fixed number of them. */
export function judgeInodes(where: string, { files, free }: { files: number; free: number }): Mendable {
  const part = files === 0 ? 1 : free / files;
  const text = `${Math.floor(part * 100)} % of the inodes free in ${where}`;
  if (part >= fewInodes) return fine("DOCTOR_INODES", text);
  return found("DOCTOR_INODES", part < littleInodes ? "error" : "warning", {
    what: `only ${text}`,
    cause: "no file can be made without one; node_modules take them by the hundred thousand",
    fix: "agent-harness gc, then delete worktrees or node_modules that nobody needs",
  });
}

/** Whether copies share their blocks, where that saves most: in worktrees, and in Postgres's data. */
export const checkReflink: Check = async ({ paths, project, infra }) => {
  const root = rootOf({ project });
  const worktrees = await canReflink(await nearestThere(root));
  return [
    say(`in ${root}`, worktrees, "files carried over into a worktree are copied in full"),
    ...(infra?.driver === "embedded" && !infra.postgres.external
      ? [say(`in ${paths.postgresData}`, infra.postgres.reflink, "databases are cloned by copying")]
      : []),
  ];
};

function say(where: string, can: boolean, cause: string): Mendable {
  if (can) return fine("DOCTOR_REFLINK", `copies share their blocks ${where}`);
  const what = `copies cannot share their blocks ${where}`;
  const fix = "put it on btrfs, or on xfs with reflink=1, when clones are too slow or too large";
  return found("DOCTOR_REFLINK", "note", { what, cause, fix });
}

/** The folder itself, else the nearest one above it that is there. */
async function nearestThere(path: string): Promise<string> {
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    const there = await stat(folder).then(
      () => true,
      () => false,
    );
    if (there) return folder;
  }
  return "/";
}
