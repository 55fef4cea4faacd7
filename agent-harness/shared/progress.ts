/** One thing that happened while a long step ran; the doors decide how it looks. */
export type ProgressEvent =
  | { type: "start"; step: string }
  | { type: "detail"; step: string; text: string }
  | { type: "done"; step: string; text?: string; ms: number }
  | { type: "skip"; step: string; text: string }
  | { type: "fail"; step: string; text: string; ms: number }
  | { type: "note"; text: string };

/** Receives what happens, as it happens. */
export type Progress = (event: ProgressEvent) => void;

/** For callers that do not care. */
export const silent: Progress = () => undefined;

/** Runs one step and reports its start, its end and how long it took; a thrown error is reported and goes on. */
export async function withStep<T>(
  progress: Progress,
  step: string,
  run: () => Promise<T>,
  done?: (result: T) => string | undefined,
): Promise<T> {
  const start = performance.now();
  progress({ type: "start", step });
  try {
    const result = await run();
    const text = done?.(result);
    progress({ type: "done", step, ms: performance.now() - start, ...(text === undefined ? {} : { text }) });
    return result;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    progress({ type: "fail", step, text, ms: performance.now() - start });
    throw error;
  }
}
