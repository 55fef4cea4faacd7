import { describe, expect, it } from "vitest";
import { describeLayers, imageError } from "./pull.ts";

describe("describeLayers", () => {
  it("counts the layers that are done, whichever way they came, and those still to come", () => {
    expect(describeLayers([])).toBe("0 of 0 layers");
    expect(
      describeLayers([
        { id: "1-pg17", status: "Pulling from pgvector/pgvector" },
        { id: "aaaa", status: "Already exists" },
        { id: "bbbb", status: "Pull complete" },
        { id: "cccc", status: "Pulling fs layer" },
        { id: "dddd", status: "Waiting" },
        { id: "eeee", status: "Verifying Checksum" },
        { status: "Digest: sha256:0123" },
        { status: "Status: Downloaded newer image for pgvector/pgvector:0.8.1-pg17" },
      ]),
    ).toBe("2 of 5 layers");
  });

  it("names the layers under way, in tenths", () => {
    const event = (id: string, status: string, current: number, total: number) => ({
      id,
      status,
      progressDetail: { current, total },
    });
    expect(
      describeLayers([
        { id: "aaaa", status: "Pull complete", progressDetail: {} },
        event("bbbb", "Downloading", 0, 1000),
        event("cccc", "Downloading", 199, 1000),
        event("dddd", "Extracting", 1000, 1000),
      ]),
    ).toBe("1 of 4 layers: bbbb downloading 0 %, cccc downloading 10 %, dddd extracting 100 %");
    // Newer engines count the seconds of unpacking, with no total.
    expect(describeLayers([{ id: "eeee", status: "Extracting", progressDetail: { current: 5 } }])).toBe(
      "0 of 1 layers",
    );
  });
});

describe("imageError", () => {
  it("names the image, its service, the variable and the next command", () => {
    const error = imageError("mail", "axllent/mailpit:v0", "manifest unknown");
    expect(error.code).toBe("IMAGE_UNAVAILABLE");
    expect(error.message).toBe("The image axllent/mailpit:v0 of mail cannot be pulled: manifest unknown");
    expect(error.hint).toContain("Set AGENT_MAIL_IMAGE");
    expect(error.hint).toContain("docker pull axllent/mailpit:v0");
  });

  it("tells a full disk apart", () => {
    const why = "failed to register layer: write /usr/bin/x: no space left on device";
    const { code, hint } = imageError("postgres", "pgvector/pgvector:pg17", why);
    expect(code).toBe("DISK_FULL");
    expect(hint).toContain("docker system df");
  });
});
