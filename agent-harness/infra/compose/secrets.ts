import { join } from "node:path";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import type { HomePaths } from "../../shared/paths.ts";
import type { Credentials } from "../credentials.ts";

/** The folder of the files that compose mounts as secrets, so that no password shows in `docker inspect`. */
export const secretsFolder = (paths: HomePaths): string => join(paths.compose, "secrets");

/** Writes the credentials, a file each, 0600, by the names that the compose file mounts. */
export async function writeSecrets(paths: HomePaths, { postgres, s3 }: Credentials): Promise<void> {
  const secrets = {
    "postgres-password": postgres.password,
    "s3-access-key": s3.accessKey,
    "s3-secret-key": s3.secretKey,
  };
  for (const [name, value] of Object.entries(secrets)) {
    const file = join(secretsFolder(paths), name);
    // Left alone when it is right: a running container has this very file mounted.
    if ((await findText(file)) !== value) await writeFileAtomic(file, value);
  }
}
