import { describe, expect, it } from "vitest";
import { seal, unseal } from "./sealed.ts";

describe("a sealed text", () => {
  it("opens with the secret it was sealed with", async () => {
    expect(await unseal(await seal("agent_1 – ünïcode", "secret-one"), "secret-one")).toBe("agent_1 – ünïcode");
  });

  it("does not open with another secret", async () => {
    await expect(unseal(await seal("agent_1", "secret-one"), "secret-two")).rejects.toThrow("another secret");
  });

  it("does not open when it was changed", async () => {
    const parts = (await seal("agent_1", "secret-one")).split(".");
    const changed = [...parts.slice(0, 3), Buffer.from("agent_2").toString("base64url")].join(".");
    await expect(unseal(changed, "secret-one")).rejects.toThrow("changed since");
    await expect(unseal("nonsense", "secret-one")).rejects.toThrow("not a sealed text");
  });

  it("is different each time", async () => {
    expect(await seal("agent_1", "secret-one")).not.toBe(await seal("agent_1", "secret-one"));
  });
});
