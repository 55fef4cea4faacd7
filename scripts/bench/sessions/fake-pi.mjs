#!/usr/bin/env node
// A coding agent without a model that costs as little as one can: it takes pi's arguments and speaks as pi does.
//
//   fake-pi.mjs --mode json <prompt>     one task on its command line, then its end: the bare program
//   fake-pi.mjs --mode rpc               tasks as lines on its standard input, until that ends: as a session runs it
//
// A prompt of "say <n>" is answered with n messages, any other with one.
const rpc = process.argv[process.argv.indexOf("--mode") + 1] === "rpc";
const sessionId = `fake-${process.pid}`;
let clock = Date.now();

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

function say(role, text) {
  // pi's messages are told apart by their times.
  clock = Math.max(clock + 1, Date.now());
  const message = { role, content: [{ type: "text", text }], timestamp: clock, stopReason: "stop" };
  tell({ type: "message_end", message });
  return message;
}

function work(prompt) {
  tell({ type: "agent_start" });
  say("user", prompt);
  const [, count = "1"] = /^say (\d+)$/.exec(prompt) ?? [];
  let last;
  for (let at = 1; at <= Number(count); at += 1)
    last = say("assistant", at === Number(count) ? "Done." : `Step ${at}.`);
  tell({ type: "agent_end", messages: [last] });
  tell({ type: "agent_settled", aborted: false });
}

function take({ id, type, message }) {
  const answer = { id, type: "response", command: type, success: true };
  tell(type === "get_state" ? { ...answer, data: { sessionId, isStreaming: false } } : answer);
  if (type === "prompt") work(message);
}

if (rpc) {
  let rest = "";
  process.stdin.setEncoding("utf8").on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  });
} else {
  work(process.argv.at(-1));
}
