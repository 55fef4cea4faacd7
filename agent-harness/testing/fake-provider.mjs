// The provider of fake-cli.mjs: what a driver of a real coding agent is, at its smallest.
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("fake-cli.mjs", import.meta.url));

const parse = (line) => {
  try {
    const event = JSON.parse(line);
    return typeof event === "object" && event !== null ? event : undefined;
  } catch {
    return undefined;
  }
};

const options = [
  { id: "allow", label: "Yes" },
  { id: "deny", label: "No" },
];

function updatesOf(event, source, at) {
  const kinds = {
    session: () => [{ type: "provider_session", id: event.id }],
    busy: () => [{ type: "status", status: "processing", source }],
    idle: () => [{ type: "status", status: "idle", source }],
    say: () => [
      { type: "message", message: { id: event.id, at, role: "assistant", text: event.text, finishReason: null } },
      { type: "output", text: event.text },
    ],
    tool: () => [{ type: "tool_use", id: event.id, tool: event.tool, input: event.input }],
    tool_done: () => [
      { type: "tool_result", id: event.id, tool: "append", output: event.output, isError: event.isError },
    ],
    ask: () => [
      { type: "pending", pending: { id: event.id, kind: event.kind, title: event.title, options, input: {} } },
    ],
    answered: () => [{ type: "resolved", pendingId: event.id }],
    failed: () => [
      { type: "error", message: event.message },
      { type: "status", status: "error", source, reason: event.message },
    ],
  };
  return kinds[event.event]?.() ?? [{ type: "unknown", raw: event }];
}

const line = (value) => JSON.stringify(value);
const answerText = (answer) =>
  "decision" in answer ? answer.decision : Object.values(answer.answers).flat().join(", ");

const headless = {
  plan: (start) => ({
    keeper: {
      backend: {
        argv: [process.execPath, program, ...(start.resume ? ["--resume", start.resume] : [])],
        cwd: start.cwd,
        env: start.env,
      },
    },
    files: [],
    state: { task: start.task ?? null, turns: 0 },
  }),
  read(state, record) {
    if (record.from !== "stdout") return { state, updates: [] };
    const event = parse(record.line);
    if (event === undefined) return { state, updates: [{ type: "unknown", raw: record.line }] };
    const updates = updatesOf(event, "protocol", record.at);
    if (event.event === "busy") return { state: { ...state, turns: state.turns + 1 }, updates };
    if (event.event !== "session" || state.task === null) return { state, updates };
    return { state: { ...state, task: null }, updates, writes: [line({ input: state.task })] };
  },
  input: (state, text) => ({ state, delivery: { lines: [line({ input: text })] } }),
  respond: (state, pending, answer) => ({
    state,
    delivery: { lines: [line({ answer: pending.id, value: answerText(answer) })] },
  }),
  interrupt: (state) => ({ state, delivery: { lines: [line({ interrupt: true })] } }),
};

const tmux = {
  plan: (start) => ({
    keeper: {
      terminal: {
        argv: [
          process.execPath,
          program,
          "--terminal",
          "--socket",
          start.socket,
          ...(start.resume ? ["--resume", start.resume] : []),
          ...(start.task === undefined ? [] : ["--task", start.task]),
        ],
        cwd: start.cwd,
        env: start.env,
      },
    },
    files: [],
    state: { turns: 0 },
  }),
  read(state, record) {
    return { state, updates: record.from === "hook" ? updatesOf(record.data, "hook", record.at) : [] };
  },
  input: (state, text) => ({ state, delivery: { paste: text } }),
  respond: (state, pending, answer) =>
    pending.kind === "permission"
      ? { state, delivery: { keys: [answerText(answer) === "deny" ? "n" : "y", "Enter"] } }
      : undefined,
  interrupt: (state) => ({ state, delivery: { keys: ["Escape"] } }),
};

/** A provider for the fake program, under the name of a real one. */
export const fakeProvider = (name = "pi") => ({
  name,
  command: process.execPath,
  install: "it comes with the tests",
  credentialVariables: [`FAKE_${name.toUpperCase().replaceAll("-", "_")}_KEY`],
  capabilities: { permissions: true, questions: true, resume: true, models: false },
  ways: { headless, tmux },
});
