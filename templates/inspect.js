// The page /inspect: shows agents, answers what they ask, follows their events. All it knows comes from the API.
const api = "/api/v1";
const shownEvents = 200;
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("token") ?? "";
let open;
let following = new AbortController();

const make = (tag, text, parent) => {
  const made = document.createElement(tag);
  // Never as HTML: an agent writes what it likes.
  made.textContent = text;
  parent?.append(made);
  return made;
};

const notice = (text) => {
  byId("notice").textContent = text;
};

async function ask(path, { method = "GET", body, signal } = {}) {
  const response = await fetch(api + path, {
    method,
    signal,
    headers: { authorization: `Bearer ${token}`, ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (response.ok) return response;
  const { error, message, hint } = await response.json();
  throw new Error([`${error}: ${message}`, hint].filter(Boolean).join(" "));
}

const json = async (...request) => (await ask(...request)).json();

/** Does something and shows why it failed. */
const attempt = async (work) => {
  try {
    await work();
    notice("");
  } catch (error) {
    if (error.name !== "AbortError") notice(error.message);
  }
};

async function showAgents() {
  const { projects } = await json("/projects");
  const lists = await Promise.all(projects.map(({ name }) => json(`/projects/${name}`)));
  const nav = byId("agents");
  nav.replaceChildren();
  for (const { project, agents } of lists) {
    make("h2", project.name, nav);
    make("small", project.cwd, nav);
    for (const { id, status } of agents) {
      const button = make("button", `${id}: ${status}`, nav);
      if (open?.id === id) button.setAttribute("aria-current", "true");
      button.onclick = () => attempt(() => openAgent({ project: project.name, id }));
    }
  }
  if (projects.length === 0) make("p", "There is no project yet.", nav);
}

const pathOf = ({ project, id }) => `/projects/${project}/agents/${id}`;

async function showAgent() {
  const here = open;
  const [{ agent, lastOutput }, { messages }] = await Promise.all([
    json(pathOf(here)),
    json(`${pathOf(here)}/messages?limit=50`),
  ]);
  if (here !== open) return;
  byId("agent").hidden = false;
  byId("title").textContent = `${agent.id}: ${agent.status}`;
  byId("facts").textContent = [agent.provider, agent.runIn, agent.cwd, agent.reason].filter(Boolean).join(" · ");
  byId("attach").textContent = agent.attachCommand;
  byId("output").textContent = lastOutput;
  byId("messages").replaceChildren(...messages.map(({ role, text }) => make("p", `${role}: ${text}`)));
  showPending(agent.pending);
}

function showPending(pending) {
  const box = byId("pending");
  box.hidden = pending === undefined;
  box.replaceChildren();
  if (pending === undefined) return;
  make("strong", pending.title, box);
  make("pre", JSON.stringify(pending.input, null, 2), box);
  const choices =
    pending.kind === "permission"
      ? ["allow", "deny"].map((decision) => [decision, { decision }])
      : pending.options.map(({ id, label }) => [label, { answers: { [pending.title]: id } }]);
  for (const [label, answer] of choices) {
    const body = { pendingId: pending.id, ...answer };
    make("button", label, box).onclick = () => attempt(() => ask(`${pathOf(open)}/respond`, { method: "POST", body }));
  }
}

async function openAgent(which) {
  following.abort();
  following = new AbortController();
  open = which;
  byId("events").replaceChildren();
  await showAgent();
  void follow(which, following.signal);
}

/** Follows an agent's events until another one is opened; comes back where it was when the connection is lost. */
async function follow(which, signal) {
  let since = "evt-0";
  while (!signal.aborted) {
    await attempt(async () => {
      const { body } = await ask(`${pathOf(which)}/events?since=${since}`, { signal });
      let rest = "";
      for await (const part of body.pipeThrough(new TextDecoderStream())) {
        const frames = (rest + part).split("\n\n");
        rest = frames.pop();
        const told = frames.flatMap((frame) => frame.split("\n").filter((line) => line.startsWith("data: {")));
        for (const event of told.map((line) => JSON.parse(line.slice("data: ".length)))) {
          since = event.id ?? since;
          make("li", `${event.id ?? ""} ${event.type} ${JSON.stringify(event).slice(0, 300)}`, byId("events"));
        }
        while (byId("events").children.length > shownEvents) byId("events").firstChild.remove();
        if (told.length > 0) await Promise.all([showAgent(), showAgents()]);
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

byId("sign-in").onsubmit = (event) => {
  event.preventDefault();
  token = byId("token").value;
  sessionStorage.setItem("token", token);
  void attempt(showAgents);
};
byId("say").onsubmit = (event) => {
  event.preventDefault();
  const body = { text: byId("text").value };
  void attempt(async () => {
    await ask(`${pathOf(open)}/input`, { method: "POST", body });
    byId("text").value = "";
  });
};
byId("abort").onclick = () => attempt(() => ask(`${pathOf(open)}/abort`, { method: "POST" }));
byId("copy").onclick = () => navigator.clipboard.writeText(byId("attach").textContent);
if (token !== "") void attempt(showAgents);
