#!/usr/bin/env node
import { quickComplete } from "../cli/complete.ts";
import type { OpenApi } from "../cli/index.ts";

const openApi: OpenApi = async (options) => await (await import("../api/index.ts")).openApi(options);
const argv = process.argv.slice(2);
const quick = quickComplete(argv, process.env, process.cwd());
if (quick !== undefined) process.stdout.write(quick);
// The API is loaded where it is served. Not left to run out: PM2's client goes on trying to reach a daemon that was killed under it.
else process.exit(await (await import("../cli/index.ts")).runHarness(argv, { openApi }));
