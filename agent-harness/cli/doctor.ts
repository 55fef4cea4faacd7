import { type DoctorReport, doctor } from "../stacks/index.ts";
import { command } from "./command.ts";
import { table } from "./output.ts";
import { parseCount } from "./usage.ts";

export const doctorCommand = command<DoctorReport>({
  usage: "doctor",
  summary:
    "look at everything that stacks need: programs, room, ports, services, what is written down of stacks, orphans",
  options: [
    ["--fix", "mend what is ours to mend and loses nothing, then look again"],
    ["--all", "show what is well too"],
    ["--agents <n>", "look at the ports of agents 1 to n (default: 5, and every one that has a stack)"],
  ],
  run: async (_, options, { cwd, config, env, progress, json }) => {
    const agents = parseCount("--agents", options["agents"], 5);
    const report = await doctor({ cwd, config, env, agents, fix: options["fix"] === true, progress });
    const all = json || options["all"] === true;
    return all ? report : { ...report, findings: report.findings.filter((one) => one.level !== "ok") };
  },
  text: doctorText,
  exitCode: ({ level }) => (level === "ok" || level === "note" ? 0 : 1),
});

function doctorText({ findings, counts, mended }: DoctorReport): string {
  const done = mended.map(({ fix, done, error }) =>
    error === undefined ? `mended  ${done} (${fix})\n` : `failed  ${error} (${fix})\n`,
  );
  const rows = findings.map((one) => {
    const finding = one.cause === "" ? one.what : `${one.what.replace(/\.$/, "")}: ${one.cause}`;
    return [one.level, one.code, finding, one.fixable ? `${one.fix} (or: doctor --fix)` : one.fix];
  });
  const list = rows.length === 0 ? "" : table(["level", "code", "finding", "fix"], rows);
  return `${done.join("")}${list}${summary(counts)}\n`;
}

function summary({ ok, note, warning, error }: DoctorReport["counts"]): string {
  const bad = Object.entries({ error, warning, note }).flatMap(([level, count]) =>
    count === 0 ? [] : [`${count} ${level}${count === 1 ? "" : "s"}`],
  );
  return [`${ok} ok`, ...bad].join(", ");
}
