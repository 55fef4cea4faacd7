// Loaded into the daemon before its own program: at SIGUSR2 it collects garbage and says on stderr what its memory is.
process.on("SIGUSR2", () => {
  globalThis.gc();
  // What was only held by something that is gone now.
  setImmediate(() => {
    globalThis.gc();
    process.stderr.write(`memory ${JSON.stringify(process.memoryUsage())}\n`);
  });
});
