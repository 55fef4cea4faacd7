// A program that speaks lines, for the tests of keepers: says what it is told, and does what some words ask for.
import { spawn } from "node:child_process";
import { appendFileSync, closeSync } from "node:fs";
import { createInterface } from "node:readline";

const [, , mode, file] = process.argv;

const say = (text) => process.stdout.write(`${text}\n`);
// Outlives its parents in a session of its own, and ends by nothing but SIGKILL.
const escapee = 'process.on("SIGTERM", () => {}); process.on("SIGHUP", () => {}); setInterval(() => {}, 1000);';
const between = `
  const { spawn } = require("node:child_process");
  const child = spawn(process.execPath, ["-e", ${JSON.stringify(escapee)}], { detached: true, stdio: "ignore" });
  child.unref();
  console.log("escaped " + child.pid);`;

const words = {
  // What was said before has to arrive.
  exit: (code) => process.stdout.write("", () => process.exit(Number(code))),
  kill: (signal) => process.kill(process.pid, signal),
  big: (bytes) => say("x".repeat(Number(bytes))),
  garbage: () => process.stdout.write(Buffer.from([0, 1, 2, 0xff, 0xfe, 0xc3, 13, 0x28, 10, 0xe2, 0x80, 0xa8, 10])),
  stderr: (text) => process.stderr.write(`${text}\n`),
  half: (text) => process.stdout.write(text),
  append: (text) => appendFileSync(file, `${text}\n`),
  env: (name) => say(`${name}=${process.env[name]}`),
  cwd: () => say(process.cwd()),
  // Twice removed from us, and in a session of its own.
  escape: () => spawn(process.execPath, ["-e", between], { detached: true, stdio: ["ignore", "inherit", "inherit"] }),
  deafen: () => {
    closeSync(0);
    say("deafened");
  },
  deaf: () => process.on("SIGTERM", () => undefined),
};

if (mode === "end") process.exit(Number(file));
if (mode === "ticks") setInterval(() => say(`tick ${Date.now()}`), 20);
say(`up ${process.pid}`);
if (mode === "terminal" || mode === "raw") {
  // As a program of a terminal does it: every byte is told to a file, and nothing is shown but that.
  process.stdin.setRawMode(true);
  if (mode === "terminal") process.stdout.write("\x1b[?2004h");
  appendFileSync(file, `up ${process.pid} ${process.env.TERM} ${process.env.TMUX}\n`);
  process.stdin.on("data", (chunk) => appendFileSync(file, `${JSON.stringify(chunk.toString("utf8"))}\n`));
  process.stdin.on("data", (chunk) => chunk.includes("q") && chunk.length === 1 && process.exit(3));
} else {
  createInterface({ input: process.stdin }).on("line", (line) => {
    const [word, ...rest] = line.split(" ");
    if (word in words) words[word](rest.join(" "));
    else say(`got ${line}`);
  });
  // A keeper that is gone has closed it: this one stays all the same, as bad programs do.
  setInterval(() => undefined, 1000);
}
