// Runs one command on a stack from the built program and kills itself, as hard as can be, at one event of one step:
// node crash.mjs <launch|reset|teardown|save|restore|drop|gc> <project> <id> <step> <start|done> [options]. Without a step it runs to its end.
// The snapshot that save, restore and drop are about is "one".
import { resolveInfra } from "../../dist/infra/index.js";
import {
  dropSnapshot,
  gc,
  launch,
  openProject,
  reset,
  restoreSnapshot,
  saveSnapshot,
  teardown,
} from "../../dist/stacks/index.js";

const commands = { launch, reset, teardown, gc };
const snapshots = { save: saveSnapshot, restore: restoreSnapshot, drop: dropSnapshot };

const [, , verb, folder, id, step, event, more = "{}"] = process.argv;

const progress = (happened) => {
  process.stdout.write(`${JSON.stringify(happened)}\n`);
  if (happened.step === step && happened.type === event) process.kill(process.pid, "SIGKILL");
};

const project = await openProject({ cwd: folder });
const { paths, env } = project;
const options = { project, paths, id: Number(id), config: project.config.infra, env, progress, ...JSON.parse(more) };
if (verb in commands) await commands[verb](options);
else {
  const infra = await resolveInfra(paths, project.config.infra, env);
  await snapshots[verb]({ ...options, infra, name: "one", force: true });
}
