import { createHmac, randomBytes } from "node:crypto";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { ensureSecret } from "../shared/secret-file.ts";

/* Signed as Standard Webhooks says, so that receivers can use any library for it. */

const prefix = "whsec_";

/** The key that this machine signs with: HARNESS_WEBHOOK_SECRET, else one that is made once and kept in the home. */
export async function webhookSecret(
  paths: Pick<HomePaths, "webhookSecret">,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const given = env["HARNESS_WEBHOOK_SECRET"];
  const secret = given || (await ensureSecret(paths.webhookSecret, () => prefix + randomBytes(32).toString("base64")));
  keyOf(secret, given ? "HARNESS_WEBHOOK_SECRET" : paths.webhookSecret);
  return secret;
}

/** The headers that prove who posts, when, and that nobody changed the body. */
export function signatureHeaders(secret: string, id: string, at: Date, body: string): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const signature = createHmac("sha256", keyOf(secret, "The secret"))
    .update(`${id}.${timestamp}.${body}`)
    .digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}

function keyOf(secret: string, where: string): Buffer {
  const text = secret.startsWith(prefix) ? secret.slice(prefix.length) : "";
  const key = Buffer.from(text, "base64");
  if (key.length >= 24 && key.length <= 64 && /^[A-Za-z0-9+/]+=*$/.test(text)) return key;
  throw new HarnessError("CONFIG_INVALID", `${where} is no key for webhooks: ${prefix} and 24 to 64 bytes in base64.`, {
    hint: `Make one: echo "${prefix}$(openssl rand -base64 32)"`,
  });
}
