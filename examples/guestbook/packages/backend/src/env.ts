import { z } from "zod";

const port = z.coerce
  .number("must be a port, 1 to 65535")
  .int("must be a whole number")
  .min(1, "must be a port, 1 to 65535")
  .max(65_535, "must be a port, 1 to 65535");

const flag = z.enum(["true", "false"], "must be `true` or `false`").transform((text) => text === "true");

const text = z.string("is missing").min(1, "is empty");

const databaseEnv = z.object({
  PGHOST: text,
  PGPORT: port,
  PGUSER: text,
  PGPASSWORD: z.string("is missing"),
  PGDATABASE: text,
});

const secretEnv = databaseEnv.extend({
  APP_SECRET: z.string("is missing").min(8, "must have at least 8 characters"),
});

const appEnv = secretEnv.extend({
  AGENT_ID: z.string().optional(),
  PORT: port,
  SITE_URL: z.url("must be a URL"),
  S3_ENDPOINT: z.url("must be a URL"),
  S3_REGION: text,
  S3_BUCKET: text,
  S3_ACCESS_KEY: text,
  S3_SECRET_KEY: text,
  HEADLESS_BROWSER_HOST: text,
  HEADLESS_BROWSER_PORT: port,
  EMAIL_SMTP_HOST: text,
  EMAIL_SMTP_PORT: port,
  EMAIL_SMTP_SECURE: flag,
  EMAIL_SMTP_USE_AUTH: flag,
  EMAIL_SMTP_USER: z.string().optional(),
  EMAIL_SMTP_PASSWORD: z.string().optional(),
  EMAIL_SMTP_SENDER_NAME: text,
  EMAIL_SMTP_SENDER_EMAIL: z.email("must be a mail address"),
  SCHEDULER_ENABLED: flag,
});

const workerEnv = appEnv.extend({ SCHEDULER_PORT: port });

export type DatabaseEnv = z.output<typeof databaseEnv>;
export type AppEnv = z.output<typeof appEnv>;

type Source = Readonly<Record<string, string | undefined>>;

/** What the migrations need: the database. */
export const readDatabaseEnv = (source: Source = process.env) => read(databaseEnv, source);

/** What the seeds need: the database and the secret that the connection row is encrypted with. */
export const readSecretEnv = (source: Source = process.env) => read(secretEnv, source);

/** What the API needs. */
export const readAppEnv = (source: Source = process.env) => read(appEnv, source);

/** What the worker needs: all that the API needs, and a port of its own. */
export const readWorkerEnv = (source: Source = process.env) => read(workerEnv, source);

// Values stay out of the message: one of them may be a password.
function read<Schema extends z.ZodType>(schema: Schema, source: Source): z.output<Schema> {
  const result = schema.safeParse(source);
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path, message }) => {
    const name = path.join(".");
    return `  ${name} ${source[name] === undefined ? "is missing" : message}`;
  });
  throw new Error(`The environment is not usable:\n${lines.join("\n")}`);
}
