#!/usr/bin/env node
import { runVerify } from "../cli/index.ts";

// Not left to run out: PM2's client goes on trying to reach a daemon that was killed under it.
process.exit(await runVerify(process.argv.slice(2)));
