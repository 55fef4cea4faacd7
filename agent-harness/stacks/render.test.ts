import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fill, fillFile } from "./render.ts";

test("a text is filled in as it is: nothing is escaped, and a text without braces is left alone", () => {
  const value = `<a href="x">it's & \`$HOME\`</a>`;
  expect(fill("[{{value}}]", { value }, "here")).toBe(`[${value}]`);
  expect(fill("no braces: \\{ $x `y`", {}, "here")).toBe("no braces: \\{ $x `y`");
  expect(fill("{{urls.api}}:{{id}}", { urls: { api: "http://x" }, id: 3 }, "here")).toBe("http://x:3");
});

test.each(["{{nothing}}", "{{urls.nothing}}", "{{nothing.at.all}}", "{{#each}}", "{{unclosed", "{{helper 1 2}}"])(
  "%s is refused with its place and the names that can be used",
  (text) => {
    expect(() => fill(text, { id: 3, urls: { api: "x" } }, "env.SITE_URL")).toThrow(
      expect.objectContaining({
        code: "TEMPLATE_INVALID",
        message: expect.stringContaining("env.SITE_URL"),
        hint: expect.stringContaining("id, urls"),
      }),
    );
  },
);

test("a file is named by its path", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ah-render-"));
  try {
    const path = join(folder, "mine.hbs");
    await writeFile(path, "{{#if on}}agent {{id}}{{/if}} {{{json list}}}");
    expect(await fillFile(path, { on: true, id: 3, list: ["a'b"] })).toBe('agent 3 [\n  "a\'b"\n]');
    await expect(fillFile(path, { on: true })).rejects.toMatchObject({ message: expect.stringContaining(path) });
  } finally {
    await rm(folder, { recursive: true });
  }
});
