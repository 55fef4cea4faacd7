import { expect, it } from "vitest";
import { homePaths } from "../../shared/paths.ts";
import { prepareService } from "./services.ts";

it("looks for the browser by the project's variables, not by the shell's alone", async () => {
  const paths = homePaths("/nowhere/at/all");
  const ports = { postgres: 1, s3: 2, s3Console: 3, browser: 4, mailWeb: 5, mailSmtp: 6 };
  const credentials = { machine: "m", postgres: { user: "a", password: "b" }, s3: { accessKey: "c", secretKey: "d" } };
  const env = { AGENT_HARNESS_CHROMIUM: "/nowhere/chromium-of-the-project" };
  const options = { paths, ports, credentials, durability: "safe" as const, env };
  await expect(prepareService("browser", options)).rejects.toMatchObject({
    code: "BROWSER_NOT_FOUND",
    message: expect.stringContaining("/nowhere/chromium-of-the-project"),
  });
});
