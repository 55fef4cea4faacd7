// Loaded by Node before browserless, where its container has a network of its own: there `localhost` would be the container,
// and Chromium asks neither a name server nor /etc/hosts about it. It takes rules that say where a name leads, so that a page
// has the same URL as for a person, is a secure context, and sends the Host header that its server expects. Browserless has
// no setting for what each Chromium is started with, so the one function that starts them all is wrapped.
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

const flag = "--host-resolver-rules=";
const port = process.env["PORT"];
const rules = [
  // Browserless itself, which some of its own pages speak to.
  ...["localhost", "127.0.0.1"].map((name) => `MAP ${name}:${port} 127.0.0.1:${port}`),
  ...["localhost", "127.0.0.1", "::1", "*.localhost"].map((name) => `MAP ${name} host.docker.internal`),
];

const isChromium = (args) => Array.isArray(args) && args.some((one) => String(one).startsWith("--remote-debugging-"));

function withRules(args) {
  const isTheirs = (one) => String(one).startsWith(flag);
  const theirs = args.filter(isTheirs).map((one) => one.slice(flag.length));
  return [...args.filter((one) => !isTheirs(one)), flag + [...theirs, ...rules].join(",")];
}

const { spawn } = childProcess;
childProcess.spawn = (file, args, options) => spawn(file, isChromium(args) ? withRules(args) : args, options);
syncBuiltinESMExports();
