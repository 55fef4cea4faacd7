// npm run check: everything that can be known of the code without running it for real, all at once.
import { spawn } from "node:child_process";

const checks = [
  ["lint and boundaries", ["biome", "check", "."]],
  ["types", ["tsc", "--noEmit", "-p", "."]],
  ["dead code", ["knip"]],
  ["config schema", ["node", "scripts/gen-schema.mjs", "--check"]],
  ["generated docs", ["node", "scripts/gen-docs.mjs", "--check"]],
  ["fast tests", ["vitest", "run", "--project", "fast", "--reporter=dot"]],
];
const withoutTests = process.argv.includes("--without-tests");

// The schema and the docs are generated from what is built, so that comes first; a second build takes next to nothing.
const build = { name: "build", ...(await run(["tsc", "-p", "scripts/tsconfig.build.json"])) };
show(build);

const results = await Promise.all(
  checks
    .filter(([name]) => !(withoutTests && name === "fast tests"))
    .map(async ([name, command]) => ({ name, ...(await run(command)) })),
);
for (const one of results) show(one);
process.exitCode = [build, ...results].some((one) => one.code !== 0) ? 1 : 0;

function show({ name, code, output, seconds }) {
  console.log(`${code === 0 ? "✔" : "✖"} ${name} (${seconds} s)`);
  if (code !== 0) console.log(output.trim());
}

function run([program, ...args]) {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = program === "node" ? spawn(process.execPath, args) : spawn(`node_modules/.bin/${program}`, args);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    child.on("error", (error) => resolve({ code: 1, output: String(error), seconds: 0 }));
    child.on("close", (code) =>
      resolve({ code: code ?? 1, output, seconds: ((performance.now() - start) / 1000).toFixed(1) }),
    );
  });
}
