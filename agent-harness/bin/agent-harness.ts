#!/usr/bin/env node
import { runHarness } from "../cli/index.ts";

process.exitCode = await runHarness(process.argv.slice(2));
