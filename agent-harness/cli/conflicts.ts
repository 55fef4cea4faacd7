import { type ConflictsResult, type FileConflict, findConflicts } from "../stacks/index.ts";
import { command } from "./command.ts";
import { table } from "./output.ts";
import { homeOf } from "./stack-command.ts";

export const conflictsCommand = command<ConflictsResult>({
  usage: "conflicts",
  summary:
    "the files that more than one agent of this repository changed, and whether they can be merged; exit 1 when some",
  options: [
    ["--base <ref>", "what changes are counted from (default: origin's default branch, else the main checkout's)"],
  ],
  run: async (_, options, context) => {
    const { base } = options;
    const given = typeof base === "string" ? { base } : {};
    return await findConflicts({ paths: homeOf(context), cwd: context.cwd, ...given });
  },
  text: conflictsText,
  exitCode: ({ conflicts }) => (conflicts.length === 0 ? 0 : 1),
});

const meanings: Readonly<Record<FileConflict["collision"], string>> = {
  "same-lines": "same lines",
  "both-added": "both added",
  "deleted-and-changed": "deleted by one, changed by another",
  binary: "both changed a binary file",
  other: "cannot be merged",
  "other-lines": "same file, other lines",
};

function conflictsText({ base, worktrees, missing, conflicts }: ConflictsResult): string {
  const rows = conflicts.map((one) => [fileText(one.file), one.agents.join(", "), howText(one)]);
  const found =
    conflicts.length === 0 ? "No file is changed by more than one agent.\n" : table(["file", "agents", "how"], rows);
  const seen = worktrees.map(
    ({ agents, path, branch, changed }) =>
      `agent ${agents.join(", ")}: ${changed} changed since ${base.ref}, ${branch ?? "no branch"}, ${path}\n`,
  );
  const unseen = missing.map(({ agent, path, reason }) => `agent ${agent}: not looked at, ${path}: ${reason}\n`);
  return `${found}\n${[...seen, ...unseen].join("")}`;
}

/** What the worst is, and of several agents between whom. */
function howText({ agents, collision, pairs }: FileConflict): string {
  const between = pairs.filter((one) => one.collision === collision).map((one) => one.between.flat().join(" and "));
  return agents.length === 2 ? meanings[collision] : `${meanings[collision]} (${between.join("; ")})`;
}

/** A name with characters that would spoil the lines is shown as JSON has it. */
const fileText = (file: string): string => (/[\p{Cc}"\\]/u.test(file) ? JSON.stringify(file) : file);
