import { execFile } from "node:child_process";
import { chown, mkdtemp, readdir, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isRoot, packageRoot } from "../shared/paths.ts";
import { findMarked } from "../shared/process-tree.ts";
import { infraPortVariables } from "../shared/settings.ts";
import { runBin } from "../testing/bin.ts";
import type { Printed } from "../testing/harness.ts";
import { freePorts } from "../testing/ports.ts";
import { until } from "../testing/until.ts";
import { serviceMark } from "./embedded/strays.ts";
import type { ServiceStatus } from "./status.ts";

/* Without root and without a home that was made ahead: as `nobody` when root runs the tests, else as whoever does. */

let folder: string;
let user: { uid: number; gid: number } | undefined;
let env: NodeJS.ProcessEnv;

const infra = (...argv: string[]): Promise<Printed> =>
  runBin("agent-harness", ["infra", ...argv], { cwd: folder, env, ...(user && { user }) });

const idOf = async (what: "-u" | "-g"): Promise<number> =>
  Number((await promisify(execFile)("id", [what, "nobody"])).stdout);

/** Whether others may enter every folder down to our own; a checkout in /root is closed to them. */
async function isOpen(path: string): Promise<boolean> {
  for (let at = path; at !== dirname(at); at = dirname(at)) if (((await stat(at)).mode & 0o001) === 0) return false;
  return true;
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-user-")));
  if (isRoot() && (await isOpen(packageRoot()))) {
    user = { uid: await idOf("-u"), gid: await idOf("-g") };
    await chown(folder, user.uid, user.gid);
  }
  const variables = Object.values(infraPortVariables).map((one) => one.variable);
  const ports = await freePorts(variables.length);
  env = {
    PATH: process.env["PATH"],
    // Root's default is elsewhere, so root says where; anybody else's is below HOME.
    ...(user === undefined && isRoot() ? { AGENT_HARNESS_HOME: join(folder, ".agent-harness") } : {}),
    HOME: folder,
    // Else an engine that answers to this user would be given containers of the usual name.
    AGENT_HARNESS_INFRA_DRIVER: "embedded",
    ...Object.fromEntries(variables.map((name, at) => [name, String(ports[at])])),
  };
});
afterAll(async () => {
  await infra("down", "--force");
  await rm(folder, { recursive: true, force: true });
});

/** Neither a service nor the PM2 daemon. */
async function nothingRuns(home: string): Promise<void> {
  await until("nothing to run", async () => {
    const left = [...(await findMarked(serviceMark, home)), ...(await findMarked("PM2_HOME", join(home, "pm2")))];
    return left.length === 0;
  });
}

describe("an ordinary user with an empty HOME", () => {
  it("gets infra up and down, all of it as that user", async () => {
    const up = await infra("up", "--json");
    expect(up.exitCode, up.stderr).toBe(0);
    const all = JSON.parse(up.stdout) as ServiceStatus[];
    expect(all.map((one) => [one.service, one.healthy])).toEqual(
      ["postgres", "s3", "browser", "mail"].map((service) => [service, true]),
    );
    const home = join(folder, ".agent-harness");
    expect((await stat(join(home, "credentials.json"))).mode & 0o777).toBe(0o600);
    if (user !== undefined) {
      for (const name of await readdir(home)) expect((await stat(join(home, name))).uid, name).toBe(user.uid);
      for (const { pid = 0 } of all) expect((await stat(`/proc/${pid}`)).uid).toBe(user.uid);
    }
    const down = await infra("down");
    expect(down.exitCode, down.stderr).toBe(0);
    await nothingRuns(home);
    const again = await infra("up");
    expect(again.exitCode, again.stderr).toBe(0);
    const destroyed = await infra("destroy", "--force");
    expect(destroyed.exitCode, destroyed.stderr).toBe(0);
    expect(await readdir(home)).not.toContain("credentials.json");
    await nothingRuns(home);
  });
});
