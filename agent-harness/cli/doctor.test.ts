import { expect, test } from "vitest";
import type { DoctorReport } from "../stacks/index.ts";
import type { CommandContext } from "./command.ts";
import { doctorCommand } from "./doctor.ts";

const report: DoctorReport = {
  level: "warning",
  counts: { ok: 12, note: 0, warning: 1, error: 0 },
  findings: [
    {
      code: "DOCTOR_ORPHANS",
      level: "warning",
      what: "1 thing.",
      cause: "lost",
      fix: "agent-harness gc",
      fixable: true,
    },
  ],
  mended: [],
};
const context = {} as CommandContext;

test("a finding is a line, the last line counts them", () => {
  expect(doctorCommand.text?.(report, context).split("\n").slice(1)).toEqual([
    "warning  DOCTOR_ORPHANS  1 thing: lost  agent-harness gc (or: doctor --fix)",
    "12 ok, 1 warning",
    "",
  ]);
});

test("what --fix did comes first, also when it failed", () => {
  const fixed: DoctorReport = {
    level: "ok",
    counts: { ok: 13, note: 2, warning: 0, error: 0 },
    findings: [],
    mended: [
      { code: "DOCTOR_ORPHANS", fix: "agent-harness gc", done: "gc removed 1 thing" },
      { code: "DOCTOR_INFRA", fix: "agent-harness infra up", error: "the disk is full" },
    ],
  };
  expect(doctorCommand.text?.(fixed, context)).toBe(
    "mended  gc removed 1 thing (agent-harness gc)\nfailed  the disk is full (agent-harness infra up)\n13 ok, 2 notes\n",
  );
});

test("the exit code is 1 when something is worse than a note", () => {
  const codes = (["ok", "note", "warning", "error"] as const).map((level) =>
    doctorCommand.exitCode?.({ ...report, level }),
  );
  expect(codes).toEqual([0, 0, 1, 1]);
});
