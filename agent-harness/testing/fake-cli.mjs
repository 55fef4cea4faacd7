// A coding agent without a model, for tests: the text that it is given is what it does, steps separated by ";".
//
//   say <text>             a message
//   tool <file> [release]  appends "ran" to <file>; with a release file, works until that is there
//   ask <title>            asks for permission, then says how it was decided
//   question <title>       asks the person, then says the answer
//   orphan <file>          starts a process of its own session that is deaf to SIGTERM, its pid in <file>, and leaves it
//   raw <line>             prints exactly this
//   ugly                   prints what no protocol expects: binary, half a JSON, 1 MB in one line
//   hang                   does nothing any more, for good
//   fail <message>         the turn fails
//   exit <code>            ends at once
//
// It speaks JSON lines on its standard streams; with --terminal it is a program for people: it reads lines of text from the
// terminal, draws there, and tells its events to a keeper's socket (--socket).
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const flag = (name) => process.argv[process.argv.indexOf(name) + 1];
const terminal = process.argv.includes("--terminal");
const session = process.argv.includes("--resume") ? flag("--resume") : `fake-${process.pid}`;

const socket = terminal ? connect(flag("--socket")) : undefined;
socket?.on("error", () => process.exit(3));
socket?.resume();

const tell = (event) => {
  if (socket === undefined) process.stdout.write(`${JSON.stringify(event)}\n`);
  else socket.write(`${JSON.stringify({ hook: event })}\n`);
};

let turn = 0;
let messages = 0;
let asked = 0;
let interrupted = false;
const waiting = new Map();
const queue = [];

const say = (text) => {
  messages += 1;
  if (terminal) process.stdout.write(`${text}\r\n`);
  tell({ event: "say", id: `${session}-${process.pid}-${messages}`, text });
};

async function ask(kind, title) {
  asked += 1;
  const id = `ask-${process.pid}-${asked}`;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  if (terminal) process.stdout.write(`${title} (y/n)\r\n`);
  tell({ event: "ask", kind, id, title });
  const given = await answer;
  tell({ event: "answered", id });
  return given;
}

const useTool = async (file, release) => {
  const id = `tool-${turn}-${Math.random()}`;
  tell({ event: "tool", id, tool: "append", input: { file } });
  appendFileSync(file, "ran\n");
  // A command of a tool runs in a session of its own, as the real ones do it.
  const child = release && spawn("sleep", ["300"], { detached: true, stdio: "ignore" });
  while (release && !existsSync(release) && !interrupted) await delay(10);
  child?.kill("SIGKILL");
  tell({ event: "tool_done", id, output: interrupted ? "interrupted" : "ran", isError: interrupted });
};

const steps = {
  say: (rest) => say(rest),
  tool: (rest) => useTool(...rest.split(" ")),
  ask: async (rest) => say(`${rest}: ${await ask("permission", rest)}`),
  question: async (rest) => say(`${rest}: ${await ask("question", rest)}`),
  orphan: (file) => {
    const deaf = "process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1000)";
    const child = spawn(process.execPath, ["-e", deaf], { detached: true, stdio: "ignore" });
    child.unref();
    writeFileSync(file, String(child.pid));
  },
  raw: (rest) => process.stdout.write(`${rest}\n`),
  ugly: () => {
    process.stdout.write(Buffer.from([0xff, 0x00, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0x0a]));
    process.stdout.write(`{"event":"say","id":"half\n{"event":"news","nul":"\\u0000","half":"\\ud800"}\n`);
    process.stdout.write(`${JSON.stringify({ event: "news", long: "x".repeat(2 ** 20) })}\n`);
  },
  hang: () => new Promise(() => undefined),
  fail: (message) => {
    throw new Error(message);
  },
  exit: async (code) => {
    // What was told has to arrive.
    await new Promise((resolve) => (socket ?? process.stdout).write("\n", resolve));
    process.exit(Number(code));
  },
};

async function work(text) {
  turn += 1;
  interrupted = false;
  tell({ event: "busy", text });
  try {
    for (const step of text.split(";").map((one) => one.trim())) {
      if (interrupted) break;
      const [verb, ...rest] = step.split(" ");
      await (steps[verb] ?? (() => say(`did ${step}`)))(rest.join(" "));
    }
    tell({ event: "idle" });
  } catch (error) {
    tell({ event: "failed", message: error.message });
  }
}

async function run() {
  while (queue.length > 0) await work(queue.shift());
  running = false;
}

let running = false;
function give(text) {
  queue.push(text);
  if (running) return;
  running = true;
  void run();
}

const answer = (id, value) => {
  waiting.get(id)?.(value);
  waiting.delete(id);
};

function interrupt() {
  interrupted = true;
  for (const id of [...waiting.keys()]) answer(id, "interrupted");
}

function heardLine(line) {
  const told = JSON.parse(line);
  if (told.input !== undefined) give(told.input);
  if (told.answer !== undefined) answer(told.answer, told.value);
  if (told.interrupt) interrupt();
}

function heardKeys(line) {
  const [id] = waiting.keys();
  if (line.includes("\x1b")) interrupt();
  const text = line.replaceAll(/\p{Cc}(?:\[20[01]~)?/gu, "").trim();
  if (id !== undefined && /^[yn]$/.test(text)) answer(id, text === "y" ? "allow" : "deny");
  else if (text !== "") give(text);
}

let rest = "";
if (terminal) process.stdin.setRawMode?.(true);
process.stdin.setEncoding("utf8");
process.stdin.on("data", (data) => {
  if (terminal && data.includes("\x1b") && !data.includes("\x1b[200~")) return interrupt();
  rest += data;
  const lines = rest.split(terminal ? "\r" : "\n");
  rest = lines.pop();
  for (const line of lines) (terminal ? heardKeys : heardLine)(line);
});
process.stdin.on("end", () => process.exit(0));

tell({ event: "session", id: session });
if (process.argv.includes("--task")) give(flag("--task"));
