#!/usr/bin/env node
import { quickUrl } from "../cli/agent/url.ts";

const argv = process.argv.slice(2);
const quick = quickUrl(argv, process.env);
if (quick !== undefined) process.stdout.write(quick);
else process.exitCode = await (await import("../cli/index.ts")).runAgentCli(argv);
