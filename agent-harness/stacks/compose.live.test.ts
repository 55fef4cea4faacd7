import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuckets, openMail, type ServiceId, serviceIds } from "../infra/index.ts";
import { packageRoot } from "../shared/paths.ts";
import { hasDocker } from "../testing/docker.ts";
import { ownProject } from "../testing/own-project.ts";
import { openS3Client } from "../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { sendMail } from "../testing/smtp.ts";
import { until } from "../testing/until.ts";

const ids = [41, 42];
/** Uses the database as a real one does: a pool, whose connections break when the server goes away. */
const server = [
  'import { createRequire } from "node:module";',
  'import { createServer } from "node:http";',
  `const pg = createRequire(${JSON.stringify(join(packageRoot(), "package.json"))})("pg");`,
  "const pool = new pg.Pool({ connectionTimeoutMillis: 2000 }); // PG* of the environment",
  'pool.on("error", () => undefined);',
  "createServer(async (request, response) => {",
  "  try {",
  '    const text = request.method === "POST" ? "INSERT INTO notes (text) VALUES ($1)" : "SELECT $1::text";',
  "    await pool.query(text, [request.url]);",
  '    response.end("ok");',
  "  } catch (error) {",
  "    response.writeHead(503).end(String(error));",
  "  }",
  '}).listen(Number(process.env.PORT), "127.0.0.1");',
  'process.on("SIGINT", () => process.exit(0));',
  "",
].join("\n");

describe.skipIf(!hasDocker)("with Docker: stacks on containers", () => {
  let h: SmallHarness;
  let repo: string;

  const { nameOf, docker, inspect } = ownProject(() => h);
  const pidOf = async (id: ServiceId): Promise<number> => (await inspect(nameOf(id)))[0]?.State.Pid ?? 0;
  const api = (id: number, path: string): string => `http://127.0.0.1:${8000 + id * 10}${path}`;

  beforeAll(async () => {
    h = await openSmall({ driver: "compose" });
    repo = await h.project({ "agent-harness.yml": smallConfig({ pool: 1 }), "server.mjs": server });
    // From nothing, both at once: one of them starts infra, the other one waits for it.
    await Promise.all(ids.map((id) => h.ok(repo, "launch", String(id))));
  });
  afterAll(async () => await h?.[Symbol.asyncDispose]());

  /** Both stacks work again, by the same processes as ever: what the killed service held of theirs they make anew. */
  async function expectWell(pids: readonly unknown[]): Promise<void> {
    for (const id of ids) {
      const isWell = async (): Promise<boolean> =>
        (await h.agent(repo, String(id), "health")).exitCode === 0 &&
        (await fetch(api(id, "/after"), { method: "POST" })).status === 200;
      await until(`agent ${id} to be well`, isWell, 20_000);
    }
    expect(await Promise.all(ids.map((id) => h.pids(id)))).toEqual(pids);
  }

  test("each has its own database, bucket and mails, and its ledger says on which driver", async () => {
    const { s3, mail } = await h.infra();
    for (const id of ids) {
      expect((await h.agent(repo, String(id), "health")).exitCode).toBe(0);
      const { stdout } = await h.agent(repo, String(id), "psql", "select current_database() as name, text from notes");
      expect(stdout).toBe(`name\ttext\nagent_${id}\tseed\n`);
      expect(await openBuckets(s3).marker(`agent-${id}`)).toMatchObject({ id, kind: "agent" });
      const from = `agent-${id}@agent-harness.test`;
      await sendMail(mail.smtpPort, { from, to: ["you@example.test"], subject: `of ${id}`, text: "hello" });
      const all = await until("the mail", async () => {
        const found = (await h.ask(repo, String(id), "mail")) as { subject: string }[];
        return found.length > 0 && found;
      });
      expect(all.map((one) => one.subject)).toEqual([`of ${id}`]);
      const database = (await h.ledger(id)).resources.find((one) => one.kind === "database");
      expect(database?.data["server"]).toBe("this machine's own (compose)");
    }
  });

  test("reset makes one anew and leaves the other", async () => {
    const { s3 } = await h.infra();
    for (const id of ids) {
      await h.sql(`agent_${id}`, "insert into notes (text) values ('mine')");
      await openS3Client(s3).putObject(`agent-${id}`, "a/b", "mine");
    }
    await h.ok(repo, "reset", "41");
    expect(await h.sql("agent_41", "select text from notes")).toEqual([{ text: "seed" }]);
    expect(await h.sql("agent_42", "select text from notes")).toEqual([{ text: "seed" }, { text: "mine" }]);
    await expect(openS3Client(s3).statObject("agent-41", "a/b")).rejects.toMatchObject({ code: "NotFound" });
    expect((await openS3Client(s3).statObject("agent-42", "a/b")).size).toBe(4);
    expect(((await h.ask(repo, "42", "mail")) as unknown[]).length).toBe(1);
  });

  describe("under load", () => {
    let load: Load;
    let pids: Record<string, number | undefined>[];

    beforeAll(async () => {
      pids = await Promise.all(ids.map((id) => h.pids(id)));
      const { s3, mail } = await h.infra();
      const s3Client = openS3Client(s3);
      load = startLoad(
        ids.flatMap((id): Work[] => [
          { name: `row ${id}`, run: (at) => ok(fetch(api(id, `/row-${at}`), { method: "POST" })) },
          { name: `object ${id}`, run: (at) => s3Client.putObject(`agent-${id}`, `load/${at}`, String(at)) },
          {
            name: `mail ${id}`,
            run: (at) =>
              sendMail(mail.smtpPort, {
                from: `load-${id}@a.test`,
                to: ["b@a.test"],
                subject: String(at),
                text: "x",
              }),
          },
        ]),
      );
      await load.goesOn();
    });
    afterAll(async () => await load?.stop());

    test.each(serviceIds)(
      "%s killed: infra up brings back that one, and the stacks answer without a launch",
      async (id) => {
        const before = await pidOf(id);
        await docker("kill", nameOf(id));
        const down = JSON.parse((await h.harness(repo, "infra", "status", "--json")).stdout) as Service[];
        expect(down.filter((one) => !one.healthy).map((one) => one.service)).toEqual([id]);
        const { stderr } = await h.ok(repo, "infra", "up");
        expect(stderr.match(/already up/g)).toHaveLength(3);
        expect(await pidOf(id)).not.toBe(before);
        await expectWell(pids);
        await load.goesOn();
      },
    );

    test("all of them killed: a launch brings them back first", async () => {
      await docker("kill", ...serviceIds.map(nameOf));
      const { stderr } = await h.ok(repo, "launch", "41");
      expect(stderr).not.toContain("already up");
      await expectWell(pids);
      await load.goesOn();
    });

    test.runIf(process.getuid?.() === 0).each(serviceIds)("%s ended by itself comes back by itself", async (id) => {
      const before = await pidOf(id);
      process.kill(before, "SIGKILL");
      const back = await until(
        `${id} to be back`,
        async () => {
          const all = JSON.parse((await h.harness(repo, "infra", "status", "--json")).stdout) as Service[];
          return all.find((one) => one.service === id && one.healthy && one.pid !== before);
        },
        30_000,
      );
      expect(back.restarts).toBeGreaterThan(0);
      await expectWell(pids);
      await load.goesOn();
    });

    test("whatever was acknowledged meanwhile is there", async () => {
      const acknowledged = await load.stop();
      const { s3, mail } = await h.infra();
      for (const id of ids) {
        const rows = await h.sql(`agent_${id}`, "select text from notes where text like '/row-%'");
        const kept = new Set(rows.map((row) => row["text"]));
        expect(acknowledged(`row ${id}`).filter((at) => !kept.has(`/row-${at}`))).toEqual([]);
        const objects = new Set<string>();
        const listed = openS3Client(s3).listObjects(`agent-${id}`, "load/", true);
        for await (const { name } of listed as AsyncIterable<{ name: string }>) objects.add(name);
        expect(acknowledged(`object ${id}`).filter((at) => !objects.has(`load/${at}`))).toEqual([]);
        // Those sent since the mail catcher was last killed; before that it is its own affair what it keeps.
        const last = String(acknowledged(`mail ${id}`).at(-1));
        const [newest] = await openMail(mail).list({ from: `load-${id}@a.test`, limit: 1 });
        expect(newest?.subject).toBe(last);
      }
    });
  });

  test("teardown leaves nothing of either", async () => {
    for (const id of ids) await h.ok(repo, "teardown", String(id));
    for (const id of ids) expect(await h.left(id)).toEqual([]);
  });
});

/** What is read of `infra status --json`. */
interface Service {
  service: string;
  healthy: boolean;
  pid?: number;
  restarts?: number;
}

/** One kind of work, done again and again with a number that goes up. */
interface Work {
  name: string;
  run: (at: number) => Promise<unknown>;
}

interface Load {
  /** Waits until each kind of work was done once more from its beginning. */
  goesOn: () => Promise<void>;
  /** Ends it; gives for each kind the numbers that were done. */
  stop: () => Promise<(name: string) => readonly number[]>;
}

/** Does all work at once, each kind in turns of its own. What fails is tried again with the next number. */
function startLoad(all: readonly Work[]): Load {
  const end = new AbortController();
  const done = new Map(all.map(({ name }) => [name, [] as number[]]));
  const next = new Map<string, number>();
  const loops = all.map(async ({ name, run: work }) => {
    for (let at = 0; !end.signal.aborted; at += 1) {
      next.set(name, at);
      const isDone = await work(at).then(
        () => true,
        // Refused or cut off: what is killed cannot answer.
        () => false,
      );
      if (isDone) done.get(name)?.push(at);
      // As fast as it goes would be a test of two cores.
      await delay(10);
    }
  });
  return {
    goesOn: async () => {
      const from = new Map(next);
      for (const { name } of all) {
        const isLater = () => (done.get(name)?.at(-1) ?? -1) > (from.get(name) ?? -1);
        await until(`${name} to be done again`, isLater, 20_000);
      }
    },
    stop: async () => {
      end.abort();
      await Promise.all(loops);
      return (name) => done.get(name) ?? [];
    },
  };
}

/** Good answers only. */
async function ok(answer: Promise<Response>): Promise<void> {
  const response = await answer;
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(String(response.status));
}
