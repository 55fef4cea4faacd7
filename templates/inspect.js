// The page /inspect: shows agents, answers what they ask, follows what happens. All it knows comes from the API.
import { answerForm, arrange, make, pause, showTime, soon, write } from "./inspect-parts.js";

const api = "/api/v1";
const shownEvents = 200;
/** Events after which the list of agents is another one. */
const listEvents = ["agent_started", "agent_deleted", "status_changed", "pending_resolved", "stream_gap", "heartbeat"];
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("token") ?? "";
let open;
/** The last events of the open agent, by their ids. */
let told = new Map();
let following = new AbortController();

function notice(text) {
  byId("notice").hidden = text === "";
  write(byId("notice"), text);
}

async function ask(path, { method = "GET", body, signal } = {}) {
  const response = await fetch(api + path, {
    method,
    signal,
    headers: { authorization: `Bearer ${token}`, ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (response.ok) return response;
  const { error, message, hint } = await response.json();
  throw Object.assign(new Error([`${error}: ${message}`, hint].filter(Boolean).join(" ")), { code: error });
}

const json = async (...request) => (await ask(...request)).json();

/** Does what a person wants and shows why it failed. */
async function attempt(work) {
  notice("");
  try {
    await work();
  } catch (error) {
    notice(error.message);
  }
}

const pathOf = ({ project, id }) => `/projects/${project}/agents/${id}`;
const keyOf = ({ project, id }) => `${project}/${id}`;

function undefinedWhenGone(error) {
  if (error.code !== "PROJECT_NOT_FOUND") throw error;
}

async function showAgents() {
  const { projects } = await json("/projects");
  // A project may be deleted while it is asked for.
  const lists = await Promise.all(projects.map(({ name }) => json(`/projects/${name}`).catch(undefinedWhenGone)));
  const agents = lists.flatMap((one) => one?.agents.map((agent) => ({ ...agent, project: one.project.name })) ?? []);
  const asking = agents.filter(({ status }) => status === "waiting_input");
  const head = (key, text, more = "") => ({ key: `head ${key}`, text, more });
  const rows = (some) => some.map((agent) => ({ key: `agent ${keyOf(agent)}`, agent }));
  const rest = lists.flatMap((one) =>
    one === undefined
      ? []
      : [
          head(`project ${one.project.name}`, one.project.name, one.project.cwd),
          ...rows(agents.filter((agent) => agent.project === one.project.name && !asking.includes(agent))),
        ],
  );
  const items = [...(asking.length === 0 ? [] : [head("asking", "Waiting for you"), ...rows(asking)]), ...rest];
  arrange(byId("agents"), items, (row, item) => (item.agent ? showRow(row, item.agent) : showHead(row, item)));
  byId("none").hidden = agents.length > 0;
  document.title = `${asking.length === 0 ? "" : `(${asking.length}) `}agent-harness: agents`;
}

function showHead(row, { text, more }) {
  if (row.children.length === 0) row.append(make("h2"), make("small"));
  const [title, about] = row.children;
  write(title, text);
  write(about, more);
}

function showRow(row, agent) {
  if (row.children.length === 0) {
    const button = make("button", "", { type: "button", onclick: () => attempt(() => openAgent(agent)) });
    button.append(make("b"), make("span"), make("small"), make("time"));
    row.append(button);
  }
  const [button] = row.children;
  const [name, status, about, time] = button.children;
  write(name, agent.id);
  write(status, agent.status);
  status.className = agent.status;
  write(about, agent.waitsFor === undefined ? agent.provider : `${agent.project}: ${agent.waitsFor}`);
  showTime(time, agent.lastActivity);
  mark(button, agent);
}

const mark = (button, agent) => {
  if (open && keyOf(open) === keyOf(agent)) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
};

async function openAgent({ project, id }) {
  open = { project, id };
  history.replaceState(null, "", `#${keyOf(open)}`);
  told = new Map();
  for (const list of ["messages", "events"]) byId(list).replaceChildren();
  showPending(undefined);
  byId("text").value = "";
  refreshList();
  await Promise.all([showAgent(), showPast()]);
  if (matchMedia("(max-width: 48rem)").matches) byId("agent").scrollIntoView();
}

function closeAgent() {
  open = undefined;
  byId("agent").hidden = true;
  history.replaceState(null, "", location.pathname);
}

async function showAgent() {
  const here = open;
  if (here === undefined) return;
  const [{ agent }, { messages }] = await Promise.all([json(pathOf(here)), json(`${pathOf(here)}/messages?limit=50`)]);
  if (here !== open) return;
  byId("agent").hidden = false;
  write(byId("title"), agent.id);
  write(byId("status"), [agent.status, agent.reason].filter(Boolean).join(": "));
  byId("status").className = agent.status;
  const facts = byId("facts");
  if (facts.children.length === 0)
    facts.append(make("span"), make("time"), make("span", " · last active "), make("time"));
  write(facts.children[0], `${agent.provider}, ${agent.runIn} · ${agent.project} · ${agent.cwd} · created `);
  showTime(facts.children[1], agent.createdAt);
  showTime(facts.children[3], agent.lastActivity);
  write(byId("attach"), agent.attachCommand);
  atEnd(byId("output"), () => write(byId("output"), agent.lastCapturedOutput));
  arrange(
    byId("messages"),
    messages.map((one) => ({ ...one, key: one.id })),
    showMessage,
  );
  showPending(agent.pending);
}

function showMessage(row, { role, text, ts }) {
  if (row.children.length === 0) row.append(make("b"), make("time"), make("p"));
  const [who, time, said] = row.children;
  write(who, role);
  showTime(time, ts);
  write(said, text);
}

/** Changes what scrolls; who looked at its end goes on to look at its end. */
function atEnd(element, change) {
  const wasAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 8;
  change();
  if (wasAtEnd) element.scrollTop = element.scrollHeight;
}

/** What happened before it was looked at. */
async function showPast() {
  const here = open;
  if (here === undefined) return;
  const { debug } = await json(`${pathOf(here)}/debug`);
  if (here === open) note(debug.events);
}

const numberOf = ([key]) => Number(key.slice("evt-".length));

/** Keeps events of the open agent, in their order, each once. */
function note(events) {
  for (const event of events) told.set(event.id, event);
  told = new Map([...told].sort((one, other) => numberOf(one) - numberOf(other)).slice(-shownEvents));
  showEvents();
}

const showEvents = soon(() => {
  const list = byId("events");
  const items = [...told].map(([key, event]) => ({ key, event }));
  atEnd(list, () => arrange(list, items, showEvent));
}, 50);

function showEvent(row, { event: { id: _id, ts, type, project: _project, agentId: _agentId, ...data } }) {
  if (row.children.length === 0)
    row.append(showTime(make("time"), ts), make("b", type), make("span", JSON.stringify(data).slice(0, 300)));
}

function showPending(pending) {
  const box = byId("pending");
  if (box.dataset.key === pending?.id && box.hidden === (pending === undefined)) return;
  const hadFocus = box.contains(document.activeElement);
  box.dataset.key = pending?.id ?? "";
  box.hidden = pending === undefined;
  const send = (body) => attempt(() => ask(`${pathOf(open)}/respond`, { method: "POST", body }).then(refreshAgent));
  box.replaceChildren(...(pending === undefined ? [] : [answerForm(pending, send)]));
  if (hadFocus) byId("title").focus();
}

/** What is done without a person: it waits for the next occasion when the server is away, and ends with the token. */
const quietly = (work) => async () => {
  const here = open;
  try {
    await work();
  } catch (error) {
    if (error.code === "UNAUTHORIZED") return signOut(error.message);
    if (!["AGENT_NOT_FOUND", "PROJECT_NOT_FOUND"].includes(error.code) || here !== open) return;
    closeAgent();
    notice(`${here.id} is gone.`);
  }
};
const refreshList = soon(quietly(showAgents), 100);
const refreshAgent = soon(quietly(showAgent), 200);
const refreshPast = soon(quietly(showPast), 0);

/** Follows everything that happens, until signed out; goes on where it was when the connection is lost. */
async function follow(signal) {
  let since;
  while (!signal.aborted) {
    try {
      const { body } = await ask(since === undefined ? "/events" : `/events?since=${since}`, { signal });
      write(byId("stream"), "live");
      refreshList();
      refreshAgent();
      refreshPast();
      for await (const event of eventsOf(body)) {
        since = event.id ?? since;
        take(event);
      }
    } catch (error) {
      if (error.code === "UNAUTHORIZED") signOut(error.message);
    }
    if (signal.aborted) return;
    write(byId("stream"), "not connected; trying again …");
    await pause(1000);
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const frames = (rest + part.value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").find((line) => line.startsWith("data: {"));
      if (data !== undefined) yield JSON.parse(data.slice("data: ".length));
      else if (frame.startsWith("event: heartbeat")) yield { type: "heartbeat" };
    }
  }
}

function take(event) {
  if (listEvents.includes(event.type)) refreshList();
  if (event.type === "stream_gap") refreshAgent();
  if (open === undefined || event.project !== open.project || event.agentId !== open.id) return;
  note([event]);
  refreshAgent();
}

async function signIn(given) {
  token = given;
  await showAgents();
  sessionStorage.setItem("token", token);
  byId("token").value = "";
  showSignedIn(true);
  following = new AbortController();
  void follow(following.signal);
  const [, project, id] = /^#([\w-]+)\/([\w-]+)$/.exec(location.hash) ?? [];
  if (id !== undefined) await openAgent({ project, id });
}

function signOut(why = "") {
  following.abort();
  token = "";
  sessionStorage.removeItem("token");
  closeAgent();
  byId("agents").replaceChildren();
  write(byId("stream"), "");
  showSignedIn(false);
  notice(why);
}

function showSignedIn(isSignedIn) {
  byId("sign-in").hidden = isSignedIn;
  byId("sign-out").hidden = !isSignedIn;
  document.querySelector("main").hidden = !isSignedIn;
}

byId("sign-in").onsubmit = (event) => {
  event.preventDefault();
  void attempt(() => signIn(byId("token").value.trim()));
};
byId("sign-out").onclick = () => signOut();
byId("say").onsubmit = (event) => {
  event.preventDefault();
  void attempt(async () => {
    await ask(`${pathOf(open)}/input`, { method: "POST", body: { text: byId("text").value } });
    byId("text").value = "";
  });
};
byId("abort").onclick = () => attempt(() => ask(`${pathOf(open)}/abort`, { method: "POST" }));
byId("delete").onclick = () => {
  const { id } = open;
  if (!confirm(`Delete ${id}? Its program and everything that it started are ended.`)) return;
  void attempt(async () => {
    await ask(pathOf(open), { method: "DELETE" });
    closeAgent();
    refreshList();
  });
};
byId("copy").onclick = () => attempt(() => navigator.clipboard.writeText(byId("attach").textContent));
if (token !== "") void attempt(() => signIn(token));
