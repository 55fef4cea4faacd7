import { randomUUID } from "node:crypto";
import { HarnessError } from "../shared/errors.ts";
import { binPath, findExecutable } from "../shared/words.ts";
import type { NewStoredSession, StoredProject, Tx } from "../store/index.ts";
import { type Context, placeOf } from "./context.ts";
import { newMemory } from "./memory.ts";
import { getProject, notFound } from "./project.ts";
import type { Provider } from "./provider.ts";
import type { ProviderName, RunWay } from "./session.ts";
import { type SessionPlace, sessionPlace } from "./session-env.ts";
import { sessionName } from "./session-name.ts";
import type { CreateSession } from "./sessions.ts";
import { providerSettingsOf } from "./settings.ts";
import { attachCommand, tmuxAvailable } from "./tmux.ts";
import { shellWord } from "./tmux-text.ts";

const namePattern = /^[a-z0-9-]{3,40}$/;

/** A session that was asked for: stored, and not started yet unless an earlier call with the same key did that. */
export interface Created {
  id: string;
  lastEventId: number;
  /** False when the same key had been used before. */
  fresh: boolean;
}

/** Stores a new session, with all that can be known to be wrong found out before; whoever has its lease starts it. */
export async function storeSession(context: Context, projectName: string, request: CreateSession): Promise<Created> {
  const project = await getProject(context.store, projectName);
  const asked = askedFor(projectName, request);
  // First: what was done once is not undone by a program that has been taken away since.
  if (asked !== undefined) {
    const known = await context.store.idempotency.find(asked.scope, asked.key);
    if (known !== undefined) return repeated(asked, known);
  }
  const provider = getProvider(context, request.provider);
  const { name } = request;
  if (name !== undefined && !namePattern.test(name)) {
    throw invalid(`A session's name is 3 to 40 lower case letters, digits and dashes, not ${JSON.stringify(name)}.`);
  }
  requireAsking(provider, request);
  const { permissions: asks } = provider.capabilities;
  const runIn = request.runIn ?? context.settings.runIn;
  const { cwd } = await usablePlace(context, { project, provider, request, runIn });
  return await context.store.transaction(async (tx) => {
    if (asked !== undefined) {
      const known = await tx.idempotency.take(asked.scope, asked.key, { request: asked.text });
      if (!known.fresh) return repeated(asked, known);
    }
    const id = await add(tx, request, (chosen) => newRow(context, { id: chosen, project, request, runIn, cwd, asks }));
    await tx.leases.claim(id, context.owner, context.settings.limits.leaseMs);
    const data = { provider: provider.name, runIn, task: request.task };
    const [event] = await tx.append([{ type: "agent_started", project: projectName, agentId: id, data }]);
    const created = { id, lastEventId: event?.id ?? 0 };
    await tx.sessions.change(id, { firstEventId: created.lastEventId });
    if (asked !== undefined) await tx.idempotency.finish(asked.scope, asked.key, created, { session: id });
    return { ...created, fresh: true };
  });
}

/** What is asked for under a key, as a text to compare. */
interface Asked {
  scope: string;
  key: string;
  text: string;
}

function askedFor(project: string, request: CreateSession): Asked | undefined {
  // Where news goes is not what is asked for: who comes back after a crash listens elsewhere.
  const { idempotencyKey: key, callback: _, ...asked } = request;
  return key === undefined ? undefined : { scope: `create ${project}`, key, text: JSON.stringify(asked) };
}

function repeated({ key, text }: Asked, known: { request: string; result?: unknown }): Created {
  if (known.request !== text) throw invalid(`The idempotency key ${key} was used for another request.`);
  return { ...(known.result as Omit<Created, "fresh">), fresh: false };
}

async function add(tx: Tx, { name, provider }: CreateSession, row: (id: string) => NewStoredSession): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const chosen = row(name ?? sessionName(provider, attempt));
    const added = await tx.sessions.add(chosen);
    if (added === "added") return chosen.id;
    if (added === "no_project") return notFound(chosen.project);
    if (name !== undefined) break;
  }
  throw new HarnessError("NAME_CONFLICT", `There is a session ${name ?? "of every name that was tried"} already.`, {
    hint: "Choose another name, or give none.",
    context: { name: name ?? null },
  });
}

interface RowParts {
  id: string;
  project: StoredProject;
  request: CreateSession;
  runIn: RunWay;
  cwd: string;
  /** Whether its program can ask before it does something. */
  asks: boolean;
}

function newRow(context: Context, { id, project, request, runIn, cwd, asks }: RowParts): NewStoredSession {
  const { journal } = placeOf(context, id);
  const { provider, task, model, subscription, permissions, callback } = request;
  const stack = request.stack ?? project.stack;
  const target = { server: context.paths.tmux, window: id };
  return {
    id,
    project: project.name,
    provider,
    runIn,
    status: "starting",
    task,
    cwd,
    attachCommand: runIn === "tmux" ? attachCommand(target) : ["tail", "-f", journal].map(shellWord).join(" "),
    journal,
    home: context.home,
    state: { ...newMemory({}, Date.now()), launching: { run: randomUUID(), task } },
    permissions: asks ? (permissions ?? context.settings.permissions) : "all",
    ...(model === undefined ? {} : { model }),
    ...(subscription === undefined ? {} : { subscription }),
    ...(stack === undefined ? {} : { stack }),
    ...(callback === undefined ? {} : { callback }),
  };
}

function getProvider(context: Context, name: ProviderName): Provider {
  const provider = context.providers.get(name);
  if (provider !== undefined && providerSettingsOf(context.settings, name).enabled) return provider;
  const known = [...context.providers.keys()].filter((one) => providerSettingsOf(context.settings, one).enabled);
  const why = provider === undefined ? "There is no provider" : "sessions.json turns off the provider";
  throw invalid(`${why} ${JSON.stringify(name)}.`, `Choose one of: ${known.join(", ")}.`);
}

/** Where it is to run, with what it needs there. */
async function usablePlace(
  context: Context,
  {
    project,
    provider,
    request,
    runIn,
  }: { project: StoredProject; provider: Provider; request: CreateSession; runIn: RunWay },
): Promise<SessionPlace> {
  const { paths, settings, env } = context;
  const providers = [...context.providers.values()];
  const stack = request.stack ?? project.stack;
  const { subscription } = request;
  const own = { cwd: project.cwd, stack, subscription };
  const place = await sessionPlace({ paths, settings, env, provider, providers, ...own });
  await requireProgram(context, provider, place);
  if (runIn === "tmux" && !(await tmuxAvailable())) throw noTmux();
  return place;
}

async function requireProgram(context: Context, provider: Provider, { cwd, env }: SessionPlace): Promise<void> {
  const command = providerSettingsOf(context.settings, provider.name).command ?? provider.command;
  if ((await findExecutable(command, { cwd, path: binPath(cwd, cwd, env) })) !== undefined) return;
  throw new HarnessError("PROGRAM_MISSING", `The program ${command} of ${provider.name} was not found.`, {
    hint: `Install it: ${provider.install}`,
    context: { provider: provider.name },
  });
}

const invalid = (message: string, hint = "Correct the request."): HarnessError =>
  new HarnessError("INVALID_REQUEST", message, { hint });

/** Who wants to be asked is not to learn afterwards that this provider never does. */
function requireAsking({ name, capabilities }: Provider, { permissions }: CreateSession): void {
  if (capabilities.permissions || permissions === undefined || permissions === "all") return;
  throw invalid(
    `${name} does everything without asking: it has no permissions ${JSON.stringify(permissions)}.`,
    'Ask for permissions "all", or choose another provider.',
  );
}

const noTmux = (): HarnessError =>
  new HarnessError("TMUX_UNAVAILABLE", "tmux is not installed, and the session is to run in it.", {
    hint: 'Install it (Debian, Ubuntu: apt-get install tmux; macOS: brew install tmux), or ask for runIn "headless".',
  });
