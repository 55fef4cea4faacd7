import { createContext } from "./context.ts";
import { readWorkerEnv } from "./env.ts";
import { answerError, createApp, listen, notFound } from "./http.ts";
import { jobHandlers } from "./job-handlers.ts";
import { startJobRunner } from "./job-runner.ts";
import { closeOnSignal, run } from "./run.ts";

await run(async () => {
  const env = readWorkerEnv();
  const context = createContext(env, "guestbook-worker");
  const app = createApp(context).use(notFound).use(answerError);
  const server = await listen(app, env.SCHEDULER_PORT, "Worker");
  const runner = startJobRunner(context.pool, jobHandlers(context));
  closeOnSignal(async () => {
    server.close();
    await runner.stop();
    await context.pool.end();
  });
});
