import { createApi } from "./api.ts";
import { createContext } from "./context.ts";
import { readAppEnv } from "./env.ts";
import { listen } from "./http.ts";
import { jobHandlers } from "./job-handlers.ts";
import { startJobRunner } from "./job-runner.ts";
import { closeOnSignal, run } from "./run.ts";

await run(async () => {
  const env = readAppEnv();
  const context = createContext(env, "guestbook-api");
  const server = await listen(createApi(context), env.PORT, "API");
  // With the scheduler on, the worker has the jobs.
  const runner = env.SCHEDULER_ENABLED ? undefined : startJobRunner(context.pool, jobHandlers(context));
  closeOnSignal(async () => {
    server.close();
    await runner?.stop();
    await context.pool.end();
  });
});
