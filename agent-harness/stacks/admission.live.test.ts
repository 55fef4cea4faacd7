import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { homePaths, packageRoot } from "../shared/paths.ts";
import { permitHolders } from "../shared/semaphore.ts";
import { openSmall, type SmallHarness } from "../testing/small.ts";
import { until } from "../testing/until.ts";
import { type Estimates, estimateOf } from "./admission/estimates.ts";
import { admissionQueue } from "./admission/reservations.ts";

const run = promisify(execFile);
const mb = 2 ** 20;
let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const file = (): string => join(h.paths.home, "estimates.json");
const key = () => ({ project: "small", repository: repo });
const learned = async (): Promise<Estimates> =>
  (JSON.parse(await readFile(file(), "utf8")) as { projects: Estimates }).projects;
/** Makes the project one whose stacks need so much. */
const teach = async (bytes: number): Promise<void> => {
  const projects = { [`small ${repo}`]: [{ stack: "99 once", firstBytes: bytes, mostBytes: bytes }] };
  await writeFile(file(), JSON.stringify({ version: 1, projects }));
};
const more = 2 ** 50;

test("a launch that does not fit is refused before anything is made", async () => {
  await teach(more);
  const refusal = await h.refused(repo, "launch", "51");
  expect(refusal).toMatchObject({ exitCode: 6, code: "MEMORY_SHORT" });
  expect(refusal.message).toMatch(
    /^Agent 51 does not fit into memory: a stack of small needs about 1073741824 MB, and/,
  );
  const { stdout } = await h.harness(repo, "infra", "status", "--json");
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([expect.objectContaining({ healthy: false })]));
  expect((await h.harness(repo, "status", "--json")).stdout.trim()).toBe("[]");
  await rm(file());
});

test("a launch learns what a stack uses, counted fairly; agent-cli stats learns when it has grown", async () => {
  await h.ok(repo, "launch", "51");
  const estimate = estimateOf(await learned(), key());
  // Two node processes; 400 MB is what an unknown project counts.
  expect(estimate).toBeGreaterThan(4 * mb);
  expect(estimate).toBeLessThan(300 * mb);
  const [known] = (await learned())[`small ${repo}`] ?? [];
  await writeFile(
    file(),
    JSON.stringify({ version: 1, projects: { [`small ${repo}`]: [{ ...known, mostBytes: 1 }] } }),
  );
  await h.ask(repo, "51", "stats");
  expect((await learned())[`small ${repo}`]?.[0]?.mostBytes).toBeGreaterThan(4 * mb);
});

test("a stack that runs is always let in; another is refused, and told who uses most", async () => {
  await teach(more);
  await h.ok(repo, "launch", "51");
  await h.ok(repo, "reset", "51");
  const refusal = await h.refused(repo, "launch", "52");
  expect(refusal.code).toBe("MEMORY_SHORT");
  expect(refusal.message).toMatch(/Most is used by agent 51 \(\d+ MB\)\.$/);
  expect(refusal.hint).toBe(
    "Free some: agent-harness teardown 51. Or wait for it: agent-harness launch 52 --wait. Or go on anyway: --no-admission",
  );
  expect(await h.left(52)).toEqual([]);
});

test("--wait waits until there is room, says for what, and --no-admission goes on anyway", async () => {
  await teach(more);
  const waiting = h.harness(repo, "launch", "52", "--wait", "2m");
  await until("it waits", async () => (await permitHolders(admissionQueue(h.paths))).length === 1);
  await h.ok(repo, "launch", "53", "--no-admission");
  await teach(mb);
  const { exitCode, stderr } = await waiting;
  expect(exitCode, stderr).toBe(0);
  expect(stderr).toContain("Waiting for memory: a stack of small needs about 1073741824 MB");
  for (const id of ["52", "53"]) await h.ok(repo, "teardown", id);
});

test("waiting has an end, and --wait wants a length of time", async () => {
  await teach(more);
  expect(await h.refused(repo, "launch", "52", "--wait", "0s")).toMatchObject({ code: "MEMORY_SHORT" });
  expect(await h.refused(repo, "launch", "52", "--wait", "soon")).toMatchObject({ exitCode: 2, code: "USAGE" });
  await rm(file());
});

test("of eight processes at the same moment only one gets the last room", async () => {
  const built = JSON.stringify(join(packageRoot(), "dist/stacks/admission.js"));
  const paths = JSON.stringify(homePaths(join(h.paths.home, "eight")));
  await mkdir(join(h.paths.home, "eight"));
  const program = (id: number) => `import { admit } from ${built};
    import { readdirSync, writeFileSync } from "node:fs";
    const paths = ${paths};
    const memory = async () => ({ totalBytes: 2 ** 33, availableBytes: 1000 * 2 ** 20 });
    const env = { AGENT_HARNESS_MEMORY_RESERVE_MB: "500" };
    const key = { project: "small", repository: "/repo" };
    const answer = await admit({ paths, id: ${id}, key, env, memory, progress: () => {} }).then(() => "in", (error) => error.code);
    process.stdout.write(answer);
    writeFileSync(paths.home + "/done-${id}", "");
    while (readdirSync(paths.home).filter((one) => one.startsWith("done-")).length < 8) await new Promise((done) => setTimeout(done, 10));`;
  const ids = [51, 52, 53, 54, 55, 56, 57, 58];
  const all = await Promise.all(ids.map((id) => run(process.execPath, ["--input-type=module", "-e", program(id)])));
  const answers = all.map((one) => one.stdout);
  expect(answers.filter((one) => one === "in")).toHaveLength(1);
  expect(answers.filter((one) => one === "MEMORY_SHORT")).toHaveLength(7);
});
