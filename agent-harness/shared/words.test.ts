import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HarnessError } from "./errors.ts";
import { binPath, commandWords, findExecutable, splitWords } from "./words.ts";

describe("splitWords", () => {
  test.each<[string, string[]]>([
    ["npm run dev", ["npm", "run", "dev"]],
    ["  npm\t test \n", ["npm", "test"]],
    ["echo 'a b' \"c d\"", ["echo", "a b", "c d"]],
    ["echo a'b c'd", ["echo", "ab cd"]],
    ["echo '' \"\"", ["echo", "", ""]],
    ["echo a\\ b \\'", ["echo", "a b", "'"]],
    ['echo "a\\"b" "\\\\" "\\n"', ["echo", 'a"b', "\\", "\\n"]],
    ["echo '$HOME | x' 'a\nb'", ["echo", "$HOME | x", "a\nb"]],
    ['echo "a | b; c & d > e"', ["echo", "a | b; c & d > e"]],
    ["echo \\$HOME \"\\$HOME\" '`x`'", ["echo", "$HOME", "$HOME", "`x`"]],
    ["vite --port {{ ports.frontend }}", ["vite", "--port", "{{ ports.frontend }}"]],
    ['x --u=http://h:{{ports.api}}/{{lookup a "b c"}}', ["x", '--u=http://h:{{ports.api}}/{{lookup a "b c"}}']],
    ['x "{{lookup a "b c"}} d" {{{ raw }}}', ["x", '{{lookup a "b c"}} d', "{{{ raw }}}"]],
    ["pay 5$ a$", ["pay", "5$", "a$"]],
    ["prettier --check src/**/*.ts ~/x #y", ["prettier", "--check", "src/**/*.ts", "~/x", "#y"]],
  ])("%j", (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  test.each([
    ["npm run a | tee b", "`| `"],
    ["a && b", "`&`"],
    ["a; b", "`;`"],
    ["a < b", "`<`"],
    ["a > b", "`>`"],
    ["echo $(date)", "`$(`"],
    ["echo $HOME", "`$H`"],
    [["echo $", "{HOME}"].join(""), "`${`"],
    ['echo "$HOME"', "`$H`"],
    ['echo "`date`"', "```"],
    ["echo `date`", "```"],
    ["a\nb", "a line break"],
    ["echo 'a", "opening '"],
    ['echo "a', 'opening "'],
    ["echo a\\", "opening \\"],
    ["echo {{ a", "opening {{"],
    ["PORT=1 node x", "begins with a variable"],
    ["  ", "empty"],
  ])("refuses %j", (line, says) => {
    const error = caught(() => splitWords(line));
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.message).toContain(says.replace("| ", "|"));
    expect(error.hint).toContain('["sh", "-c"');
  });
});

test("commandWords leaves a list alone and splits a line", () => {
  expect(commandWords(["sh", "-c", "a | b"])).toEqual(["sh", "-c", "a | b"]);
  expect(commandWords("a b")).toEqual(["a", "b"]);
  expect(caught(() => commandWords([""])).code).toBe("CONFIG_INVALID");
});

describe("finding programs", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "ah-words-"));
    for (const folder of ["node_modules/.bin", "packages/api/node_modules/.bin"]) {
      await mkdir(join(root, folder), { recursive: true });
    }
    await writeFile(join(root, "node_modules/.bin/tool"), "#!/bin/sh\n");
    await chmod(join(root, "node_modules/.bin/tool"), 0o755);
    await writeFile(join(root, "packages/api/node_modules/.bin/tool"), "not executable");
    await mkdir(join(root, "packages/api/node_modules/.bin/folder"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test("binPath: bins up to the working directory, PATH without relative entries, Node's folder last", () => {
    const api = join(root, "packages/api");
    const node = dirname(process.execPath);
    const bins = ["packages/api", "packages", ""].map((folder) => join(root, folder, "node_modules/.bin"));
    expect(binPath(root, api, { PATH: "/a:.::/b" })).toEqual([...bins, "/a", "/b", node]);
    expect(binPath(root, api, { PATH: `/a:${node}:/b` })).toEqual([...bins, "/a", node, "/b"]);
    expect(binPath(root, tmpdir(), {})).toEqual([join(tmpdir(), "node_modules/.bin"), node]);
  });

  test("findExecutable: the first executable file; a slash means from cwd", async () => {
    const cwd = join(root, "packages/api");
    const path = binPath(root, cwd, {});
    expect(await findExecutable("tool", { cwd, path })).toBe(join(root, "node_modules/.bin/tool"));
    expect(await findExecutable("node", { cwd, path })).toBe(join(dirname(process.execPath), "node"));
    expect(await findExecutable("folder", { cwd, path })).toBeUndefined();
    expect(await findExecutable("../../node_modules/.bin/tool", { cwd, path })).toBe(
      join(root, "node_modules/.bin/tool"),
    );
    expect(await findExecutable("./tool", { cwd, path })).toBeUndefined();
  });
});

function caught(run: () => unknown): HarnessError {
  try {
    run();
  } catch (error) {
    if (error instanceof HarnessError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
