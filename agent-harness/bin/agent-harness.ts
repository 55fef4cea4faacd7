#!/usr/bin/env node
import { quickComplete } from "../cli/complete.ts";

const argv = process.argv.slice(2);
const quick = quickComplete(argv, process.env, process.cwd());
if (quick !== undefined) process.stdout.write(quick);
// Not left to run out: PM2's client goes on trying to reach a daemon that was killed under it.
else process.exit(await (await import("../cli/index.ts")).runHarness(argv));
