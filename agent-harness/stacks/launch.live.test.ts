import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "dotenv";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findText } from "../shared/files.ts";
import { sendMail } from "../testing/smtp.ts";
import { git, openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "launch", "60");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

test("t", async () => {
  const { stdout, stderr } = await h.ok(repo, "launch", "60");
  console.log(stdout, stderr, await h.left(60), sendMail);
});
void [mkdir, readFile, stat, writeFile, join, parse, expect, findText, git, smallConfig];
