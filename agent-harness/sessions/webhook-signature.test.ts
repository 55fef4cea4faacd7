import { createHmac } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { signatureHeaders, webhookSecret } from "./webhook-signature.ts";

async function secretPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ah-secret-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "home", "webhook-secret");
}

test("the example of Standard Webhooks gets its signature", () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const at = new Date(1_614_265_330_000);
  expect(signatureHeaders(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("a secret is made once, for us only, and the same for all who ask", async () => {
  const path = await secretPath();
  const all = await Promise.all(Array.from({ length: 10 }, () => webhookSecret({ webhookSecret: path }, {})));
  expect(new Set(all).size).toBe(1);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const key = Buffer.from(all[0]?.slice("whsec_".length) ?? "", "base64");
  expect(key.length).toBe(32);
  const { "webhook-signature": signed } = signatureHeaders(all[0] ?? "", "i", new Date(5000), "b");
  expect(signed).toBe(`v1,${createHmac("sha256", key).update("i.5.b").digest("base64")}`);
});

test("a secret of the environment is used, one that is no key is refused without showing it", async () => {
  const webhook = { webhookSecret: await secretPath() };
  const given = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  expect(await webhookSecret(webhook, { HARNESS_WEBHOOK_SECRET: given })).toBe(given);
  const refused = webhookSecret(webhook, { HARNESS_WEBHOOK_SECRET: "hunter2" });
  await expect(refused).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(refused).rejects.not.toThrow("hunter2");
});
