// Runs one command on a stack from the built program and kills itself, as hard as can be, at one event of one step:
// node crash.mjs <launch|reset|teardown> <project> <id> <step> <start|done>. Without a step it runs to its end.
import { launch, openProject, reset, teardown } from "../../dist/stacks/index.js";

const [, , verb, folder, id, step, event] = process.argv;

const progress = (happened) => {
  process.stdout.write(`${JSON.stringify(happened)}\n`);
  if (happened.step === step && happened.type === event) process.kill(process.pid, "SIGKILL");
};

const project = await openProject({ cwd: folder });
const options = { project, paths: project.paths, id: Number(id), progress };
await { launch, reset, teardown }[verb](options);
