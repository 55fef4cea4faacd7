import { describe, expect, it } from "vitest";
import { readAppEnv, readDatabaseEnv, readWorkerEnv } from "./env.ts";

const complete = {
  PORT: "8010",
  SITE_URL: "http://localhost:3010",
  PGHOST: "127.0.0.1",
  PGPORT: "15432",
  PGUSER: "ada",
  PGPASSWORD: "pass'word",
  PGDATABASE: "agent_1",
  S3_ENDPOINT: "http://localhost:19000",
  S3_REGION: "us-east-1",
  S3_BUCKET: "agent-1",
  S3_ACCESS_KEY: "key",
  S3_SECRET_KEY: "secret",
  HEADLESS_BROWSER_HOST: "127.0.0.1",
  HEADLESS_BROWSER_PORT: "13001",
  EMAIL_SMTP_HOST: "127.0.0.1",
  EMAIL_SMTP_PORT: "11025",
  EMAIL_SMTP_SECURE: "false",
  EMAIL_SMTP_USE_AUTH: "false",
  EMAIL_SMTP_SENDER_NAME: "Agent 1",
  EMAIL_SMTP_SENDER_EMAIL: "agent-1@agent-harness.test",
  SCHEDULER_ENABLED: "false",
  APP_SECRET: "agent-1-secret",
};

describe("the environment", () => {
  it("is read into numbers and booleans", () => {
    expect(readAppEnv(complete)).toMatchObject({ PORT: 8010, SCHEDULER_ENABLED: false, PGPASSWORD: "pass'word" });
  });

  it("names every variable that is missing", () => {
    const { PORT: _port, PGDATABASE: _database, ...rest } = complete;
    expect(() => readAppEnv(rest)).toThrow(/PGDATABASE is missing\n {2}PORT is missing/);
  });

  it("names a variable that is wrong, and never shows its value", () => {
    const read = () => readAppEnv({ ...complete, PORT: "80x0", APP_SECRET: "short" });
    expect(read).toThrow("PORT must be a port, 1 to 65535");
    expect(read).toThrow("APP_SECRET must have at least 8 characters");
    expect(read).not.toThrow("short");
  });

  it("takes no `yes` or `1` for true", () => {
    expect(() => readAppEnv({ ...complete, SCHEDULER_ENABLED: "1" })).toThrow("SCHEDULER_ENABLED must be");
  });

  it("asks the worker for its own port", () => {
    expect(() => readWorkerEnv(complete)).toThrow("SCHEDULER_PORT is missing");
    expect(readWorkerEnv({ ...complete, SCHEDULER_PORT: "8011" }).SCHEDULER_PORT).toBe(8011);
  });

  it("asks the migrations for the database alone", () => {
    const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = complete;
    expect(readDatabaseEnv({ PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE }).PGPORT).toBe(15432);
  });
});
