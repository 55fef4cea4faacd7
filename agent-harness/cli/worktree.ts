import { emptyWorktreeTrash } from "../stacks/index.ts";
import { command } from "./command.ts";

export const worktreeEmptyTrash = command<void>({
  usage: "worktree empty-trash <folder>",
  summary: "delete the files of discarded worktrees; runs behind a teardown",
  hidden: true,
  ownJson: true,
  run: async ([folder]) => await emptyWorktreeTrash(folder ?? ""),
});
