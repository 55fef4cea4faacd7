import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "../shared/errors.ts";
import { openBuckets } from "./buckets.ts";
import { maintenanceDatabase } from "./databases.ts";
import { openMail } from "./mail.ts";
import type { Infra, ServiceHealth, ServiceId } from "./services.ts";
import { withSql } from "./sql.ts";

/** How long a working service may take to answer, in ms. */
const limitMs = 8000;

/** Asks a service something that only a working one can answer. Never throws: a service that does not answer is an answer. */
export async function checkService(infra: Infra, id: ServiceId): Promise<ServiceHealth> {
  // Somebody else who took the port may accept and then say nothing, for ever.
  const answered = new AbortController();
  const late = delay(limitMs, undefined, { signal: answered.signal, ref: false }).then(() => {
    throw new Error(`nothing was answered within ${limitMs / 1000} s`);
  });
  try {
    return { healthy: true, detail: await Promise.race([checks[id](infra), late]) };
  } catch (error) {
    return { healthy: false, detail: errorText(error) };
  } finally {
    answered.abort();
  }
}

const checks: Readonly<Record<ServiceId, (infra: Infra) => Promise<string>>> = {
  postgres: async (infra) =>
    await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
      const { rows } = await sql.query("SELECT current_setting('server_version') AS version");
      return `PostgreSQL ${String(rows[0]?.["version"])}`;
    }),
  s3: async (infra) => {
    await openBuckets(infra.s3).ping();
    return infra.s3.url;
  },
  browser: async (infra) => await checkBrowser(infra),
  mail: async (infra) => {
    const mail = openMail(infra.mail);
    await mail.ping();
    return await mail.kind();
  },
};

async function checkBrowser(infra: Infra): Promise<string> {
  const url = new URL("/json/version", infra.browser.url.replace(/^ws/, "http"));
  const response = await fetch(url, { signal: AbortSignal.timeout(3000) });
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}`);
  const body = (await response.json()) as { Browser?: unknown };
  return String(body.Browser ?? infra.browser.url);
}
