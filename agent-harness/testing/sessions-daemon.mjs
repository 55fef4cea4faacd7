// A daemon of sessions, from the built program, with the fake coding agent or the real ones, for tests that kill it: told what
// to do by messages of its parent, {n, method, args}, answered by {n, result} or {n, error}.
import { openSessions } from "../../dist/sessions/open-sessions.js";
import { homePaths } from "../../dist/shared/paths.js";
import { openStore } from "../../dist/store/index.js";
import { fakeProvider } from "./fake-provider.mjs";

const { home, server, real } = JSON.parse(process.argv[2]);
const store = await openStore({ server });
const sessions = await openSessions({
  store,
  paths: homePaths(home),
  env: process.env,
  ...(real ? {} : { providers: new Map([["pi", fakeProvider("pi")]]) }),
  report: (problem, session) => process.stderr.write(`${session}: ${problem.stack}\n`),
});

process.on("message", async ({ n, method, args }) => {
  try {
    process.send({ n, result: (await sessions[method](...args)) ?? null });
  } catch (error) {
    process.send({ n, error: { code: error.code, message: error.message } });
  }
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", async () => {
  await sessions[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  process.disconnect();
});
process.send({ ready: true });
