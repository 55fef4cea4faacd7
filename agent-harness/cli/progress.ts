import type { Progress, ProgressEvent } from "../shared/progress.ts";

/** Seconds with one digit, or milliseconds. */
export const duration = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Shows progress while `work` runs: a live list on a terminal, plain lines elsewhere; always on stderr. */
export async function withProgress<T>(
  title: string,
  { live, stderr }: { live: boolean; stderr: (text: string) => void },
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  return live ? await withLiveList(title, work) : await work((event) => printLine(event, stderr));
}

function printLine(event: ProgressEvent, stderr: (text: string) => void): void {
  const line = lineOf(event);
  if (line !== undefined) stderr(`${line}\n`);
}

/** One line of text for what happened; undefined for what only a live list shows. */
function lineOf(event: ProgressEvent): string | undefined {
  switch (event.type) {
    case "start":
      return undefined;
    case "detail":
      return `    ${event.text}`;
    case "done":
      return `  ✔ ${event.step}${event.text === undefined ? "" : `: ${event.text}`} (${duration(event.ms)})`;
    case "skip":
      return `  ✔ ${event.step}: ${event.text}`;
    case "fail":
      return `  ✖ ${event.step} (${duration(event.ms)})`;
    case "note":
      return `  ${event.text}`;
  }
}

async function withLiveList<T>(title: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const { Listr, ListrLogger, ProcessOutput } = await import("listr2");
  let result: T | undefined;
  const list = new Listr(
    {
      title,
      task: async (_, task) => {
        const running = new Set<string>();
        result = await work((event) => {
          if (event.type === "start") running.add(event.step);
          if (event.type === "done" || event.type === "fail") running.delete(event.step);
          const line = event.type === "detail" ? undefined : lineOf(event);
          if (line !== undefined) task.output = line.trim();
          const now = event.type === "detail" ? `${event.step}: ${event.text.slice(0, 60)}` : [...running].join(", ");
          task.title = now === "" ? title : `${title} — ${now}`;
        });
        task.title = title;
      },
      rendererOptions: { bottomBar: false, outputBar: Number.POSITIVE_INFINITY, persistentOutput: true },
    },
    {
      renderer: "default",
      rendererOptions: {
        showErrorMessage: false,
        // listr2 would write to stdout, which is for results.
        logger: new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) }),
      },
    },
  );
  await list.run();
  return result as T;
}
