import { setTimeout as delay } from "node:timers/promises";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Store } from "../store/index.ts";
import type { Context } from "./context.ts";
import { storeSession } from "./create.ts";
import { NotOurs } from "./held-session.ts";
import { readMessages, readOutput } from "./output.ts";
import { presentProject, presentSession } from "./present.ts";
import { changeProject, createProject, getProject } from "./project.ts";
import type { Provider } from "./provider.ts";
import { everyProvider } from "./providers/index.ts";
import { homeName, newOwner, takeFree, takeLingering } from "./recover.ts";
import { getSession, giveAnswer, giveInput, interruptTurn, markDeleted } from "./respond.ts";
import type { ProviderName } from "./session.ts";
import type { CreateSession, Session, Sessions } from "./sessions.ts";
import { readSettings } from "./settings.ts";
import { subscriptionsOf } from "./subscriptions.ts";
import { Supervisor } from "./supervisor.ts";
import { machineWebhook } from "./webhook-delivery.ts";

export interface OpenSessionsOptions {
  store: Store;
  paths: HomePaths;
  /** The daemon's own environment, of which programs see what is not ours. */
  env: Readonly<Record<string, string | undefined>>;
  /** (Default: all that there are) */
  providers?: ReadonlyMap<ProviderName, Provider>;
  /** Told what went wrong with a session while nobody waited for it. */
  report?: (problem: HarnessError, session: string) => void;
}

/** Opens the sessions of a home: those that nobody looks after are taken over before it returns. */
export async function openSessions(options: OpenSessionsOptions): Promise<Sessions> {
  const { store, paths, env, providers = everyProvider(), report = () => undefined } = options;
  const context: Context = {
    store,
    paths,
    env,
    providers,
    settings: await readSettings(paths, env),
    home: await homeName(paths),
    owner: await newOwner(),
    machineWebhook: machineWebhook(env),
    report: (problem, session) => report(asHarnessError(problem), session),
  };
  const daemon = new Daemon(context);
  await daemon.start();
  return daemon;
}

/** Events after which the daemon that has the session has to look at it. */
const wakes = new Set(["input_sent", "pending_resolved", "abort_sent"]);

/** How often sessions that have ended are looked at for what is still owed, in ms. */
const lingerLookMs = 30_000;

/** How long an idempotency key is remembered. */
const keyHours = 7 * 24;

/** How often in the time of a lease it is renewed, and free ones are looked for. */
const leasePart = 10;

class Daemon implements Sessions {
  readonly #context: Context;
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #forgotAt = 0;
  #lookedAt = Date.now();

  constructor(context: Context) {
    this.#context = context;
  }

  async start(): Promise<void> {
    for (const id of [...(await takeFree(this.#context)), ...(await takeLingering(this.#context))]) this.#supervise(id);
    this.#loops = Promise.all([this.#keepLeases(), this.#listen()]);
  }

  get #leaseMs(): number {
    return this.#context.settings.limits.leaseMs;
  }

  #supervise(id: string): Supervisor {
    const known = this.#supervisors.get(id);
    if (known !== undefined) return known;
    const supervisor = new Supervisor(this.#context, id);
    this.#supervisors.set(id, supervisor);
    const forget = (): void => {
      if (this.#supervisors.get(id) === supervisor) this.#supervisors.delete(id);
    };
    supervisor.done.then(forget, forget);
    return supervisor;
  }

  /** Sees to it that somebody does what was just stored for a session: the one who has it, or we. */
  async #attend(id: string): Promise<void> {
    const known = this.#supervisors.get(id);
    const { store, owner, home } = this.#context;
    if (known !== undefined) known.wake();
    else if (await store.leases.claim(id, owner, this.#leaseMs, { home })) this.#supervise(id);
  }

  async #keepLeases(): Promise<void> {
    const { store, owner } = this.#context;
    while (!this.#stop.signal.aborted) {
      await this.#pause(this.#leaseMs / leasePart);
      if (this.#stop.signal.aborted) return;
      try {
        const ours = new Set(await store.leases.renew(owner, this.#leaseMs));
        for (const [id, supervisor] of this.#supervisors) if (!ours.has(id)) supervisor.wake();
        for (const id of ours) this.#supervise(id);
        for (const id of await takeFree(this.#context)) this.#supervise(id);
        await this.#takeLingering();
        await this.#forgetKeys();
      } catch (error) {
        this.#context.report(error, "");
      }
    }
  }

  /** Their daemon may have been killed while others go on. */
  async #takeLingering(): Promise<void> {
    if (Date.now() - this.#lookedAt < lingerLookMs) return;
    this.#lookedAt = Date.now();
    for (const id of await takeLingering(this.#context)) this.#supervise(id);
  }

  /** Nobody tries the same again after days. */
  async #forgetKeys(): Promise<void> {
    if (Date.now() - this.#forgotAt < 3_600_000) return;
    this.#forgotAt = Date.now();
    await this.#context.store.idempotency.prune(keyHours);
  }

  /** What other daemons were asked for about our sessions is in the log. */
  async #listen(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const feed of this.#context.store.events.subscribe({}, { signal })) {
          if (feed.kind === "gap") for (const one of this.#supervisors.values()) one.wake();
          else if (wakes.has(feed.event.type)) this.#supervisors.get(feed.event.agentId ?? "")?.wake();
        }
      } catch (error) {
        this.#context.report(error, "");
        await this.#pause(this.#leaseMs / leasePart);
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  createProject: Sessions["createProject"] = (project) => createProject(this.#context.store, project);

  listProjects: Sessions["listProjects"] = async () => (await this.#context.store.projects.list()).map(presentProject);

  getProject: Sessions["getProject"] = async (name) => presentProject(await getProject(this.#context.store, name));

  changeProject: Sessions["changeProject"] = (name, change) => changeProject(this.#context.store, name, change);

  async deleteProject(name: string): Promise<void> {
    const { store } = this.#context;
    for (let round = 0; round < 5; round += 1) {
      await getProject(store, name);
      const sessions = await store.sessions.list({ project: name });
      await Promise.all(sessions.map(({ id }) => this.delete(name, id).catch(ignoreGone)));
      if ((await store.projects.remove(name)) !== "in_use") return;
    }
    throw new HarnessError("SURVIVORS", `Sessions are created in project ${name} while it is deleted.`, {
      hint: "Stop whoever creates them, then delete it again.",
    });
  }

  async create(project: string, request: CreateSession): Promise<{ session: Session; lastEventId: number }> {
    const context = this.#context;
    context.settings = await readSettings(context.paths, context.env);
    const { id, lastEventId, fresh } = await storeSession(context, project, request);
    if (fresh) await this.#start(project, id);
    else await this.#attend(id);
    return { session: await this.get(project, id), lastEventId };
  }

  async #start(project: string, id: string): Promise<void> {
    try {
      await this.#supervise(id).launched;
    } catch (error) {
      // Somebody else has the session by now, and starts it; or will, when we are gone.
      if (this.#stop.signal.aborted || error instanceof NotOurs) return;
      if (asHarnessError(error).code === "STORE_UNAVAILABLE") throw stillOwed(error, id);
      await this.delete(project, id).catch(ignoreGone);
      throw error;
    }
  }

  async list(project: string): Promise<Session[]> {
    await getProject(this.#context.store, project);
    return (await this.#context.store.sessions.list({ project })).map(presentSession);
  }

  async get(project: string, id: string): Promise<Session> {
    return presentSession(await getSession(this.#context, project, id));
  }

  async input(
    project: string,
    id: string,
    text: string,
    { idempotencyKey }: { idempotencyKey?: string } = {},
  ): Promise<void> {
    await giveInput(this.#context, { project, id }, text, idempotencyKey);
    await this.#attend(id);
  }

  respond: Sessions["respond"] = async (project, id, pendingId, answer) => {
    await giveAnswer(this.#context, { project, id }, pendingId, answer);
    await this.#attend(id);
  };

  async abort(project: string, id: string): Promise<void> {
    await interruptTurn(this.#context, { project, id });
    await this.#attend(id);
  }

  async delete(project: string, id: string): Promise<void> {
    for (;;) {
      await markDeleted(this.#context, { project, id });
      const supervisor = this.#supervise(id);
      supervisor.wake();
      try {
        return await supervisor.deleted;
      } catch (error) {
        if ((await this.#context.store.sessions.find(id)) === undefined) return;
        // One that was just about to leave the session alone did not see the mark; another one does.
        if (!(error instanceof NotOurs) || this.#stop.signal.aborted) throw error;
        await supervisor.done;
      }
    }
  }

  output: Sessions["output"] = async (project, id, lines) =>
    await readOutput(this.#context.store, await getSession(this.#context, project, id), lines);

  messages: Sessions["messages"] = async (project, id, query) =>
    await readMessages(this.#context.store, await getSession(this.#context, project, id), query);

  listSubscriptions: Sessions["listSubscriptions"] = async () =>
    subscriptionsOf(this.#context.paths, await readSettings(this.#context.paths, this.#context.env));

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loops;
    await Promise.all([...this.#supervisors.values()].map((one) => one.stop()));
    // Others take them at once instead of after the lease.
    await this.#context.store.leases.release(this.#context.owner).catch(() => undefined);
  }
}

/** It is stored: not to be taken back by whoever cannot reach the store, but not to be asked for again without its key. */
const stillOwed = (error: unknown, id: string): HarnessError => {
  const { message, hint } = asHarnessError(error);
  return new HarnessError("STORE_UNAVAILABLE", message, {
    ...(hint === undefined ? {} : { hint }),
    leftBehind: `the session ${id}, which is started when the store is back`,
    context: { id },
    cause: error,
  });
};

function ignoreGone(error: unknown): void {
  if (asHarnessError(error).code !== "AGENT_NOT_FOUND") throw error;
}
