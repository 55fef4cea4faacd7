#!/usr/bin/env node
import { quickUrl } from "../cli/agent/url.ts";

const argv = process.argv.slice(2);
const quick = quickUrl(argv, process.env);
if (quick !== undefined) process.stdout.write(quick);
// Not left to run out: PM2's client goes on trying to reach a daemon that was killed under it.
else process.exit(await (await import("../cli/index.ts")).runAgentCli(argv));
