import { z } from "zod";

/*
 * The journal of a session: every line that its program wrote or was told, one JSON record a line, appended by the keeper
 * (keeper.ts) and by nobody else. It outlives the daemon; what a daemon has read of it is an offset in the store.
 */

const base = {
  /** 1, 2, 3 … over the whole journal, restarts of the program included. */
  n: z.int().positive(),
  /** When, in ms since 1970. */
  at: z.number(),
};

/** One record of a journal. */
export const journalRecord = z.discriminatedUnion("from", [
  /** A line of the program's output, without its end; split at LF only. */
  z.object({ ...base, from: z.literal("stdout"), line: z.string() }),
  z.object({ ...base, from: z.literal("stderr"), line: z.string() }),
  /** A line that was given to it. A key is given once: a second write with the same one does nothing. */
  z.object({ ...base, from: z.literal("stdin"), key: z.string(), line: z.string() }),
  /** What a hook or an extension in the program sent to the keeper's socket. */
  z.object({ ...base, from: z.literal("hook"), data: z.unknown() }),
  /** A new line of a file that the program writes itself, such as its session log. */
  z.object({
    ...base,
    from: z.literal("file"),
    path: z.string(),
    line: z.string(),
    /** Which file it is, whatever its name, and where in it the line ends: a later keeper reads on from there. */
    file: z.string().optional(),
    end: z.int().optional(),
  }),
  /** The program was started. */
  z.object({ ...base, from: z.literal("started"), pid: z.int(), argv: z.array(z.string()) }),
  /** The program ended. */
  z.object({
    ...base,
    from: z.literal("exited"),
    code: z.int().nullable(),
    signal: z.string().nullable(),
    /** What stood in its terminal when it ended soon and badly: such a program says why nowhere else. */
    screen: z.string().optional(),
  }),
]);
export type JournalRecord = z.output<typeof journalRecord>;
