// Loaded into the daemon before its own program: at SIGUSR2 it collects garbage and says on stderr what its memory is.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Not as an argument of Node: with other flags V8 does not take the code that was compiled into it, and all would be slower.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

process.on("SIGUSR2", () => {
  collect();
  // What was only held by something that is gone now.
  setImmediate(() => {
    collect();
    process.stderr.write(`memory ${JSON.stringify(process.memoryUsage())}\n`);
  });
});
