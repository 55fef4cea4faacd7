import type { Failure } from "./client.ts";

/** One thing that went wrong, as the report tells it. */
export interface DispatchError {
  /** When for the last time, ISO 8601. */
  at: string;
  agentId: string | null;
  code: string;
  /** The HTTP status; null when nobody answered, or no request was made. */
  status: number | null;
  message: string;
  hint: string | null;
  /** What was being done. */
  doing: string;
  /** How often the same happened. */
  count: number;
  /** Whether the same was done later without an error. */
  recovered: boolean;
}

interface Doing {
  doing: string;
  agentId?: string | undefined;
}

type Noted = Doing & Pick<Failure, "code" | "message"> & Partial<Failure>;

/** Everything that went wrong, each thing once. */
export interface ErrorLog {
  all: DispatchError[];
  note(error: Noted): void;
  /** The same, unless it was noted already, whatever was being done. */
  noteOnce(error: Noted): void;
  /** What was being done has been done after all. */
  recovered(what: Doing): void;
}

/** Opens the log of a run. A server that stays away fills it with one entry, not with one a request. */
export function openErrorLog(): ErrorLog {
  const all: DispatchError[] = [];
  const isAbout =
    ({ doing, agentId }: Doing) =>
    (one: DispatchError) =>
      one.doing === doing && one.agentId === (agentId ?? null);
  const find = (error: Noted): DispatchError | undefined =>
    all.filter(isAbout(error)).find(({ code, message }) => code === error.code && message === error.message);
  const add = (error: Noted): void => {
    const { doing, code, message, agentId = null, status = null, hint = null } = error;
    const at = new Date().toISOString();
    all.push({ at, agentId, code, status, message, hint, doing, count: 1, recovered: false });
  };
  return {
    all,
    note: (error) => {
      const same = find(error);
      if (same === undefined) add(error);
      else Object.assign(same, { at: new Date().toISOString(), count: same.count + 1, recovered: false });
    },
    noteOnce: (error) => {
      if (!all.some(({ code, message }) => code === error.code && message === error.message)) add(error);
    },
    recovered: (what) => {
      for (const one of all.filter(isAbout(what))) one.recovered = true;
    },
  };
}
