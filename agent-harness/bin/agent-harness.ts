#!/usr/bin/env node
import { runHarness } from "../cli/index.ts";

// Not left to run out: PM2's client goes on trying to reach a daemon that was killed under it.
process.exit(await runHarness(process.argv.slice(2)));
