#!/usr/bin/env node
import { runVerify } from "../cli/index.ts";

process.exitCode = await runVerify(process.argv.slice(2));
