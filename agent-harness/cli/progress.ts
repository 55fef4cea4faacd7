import type { Progress, ProgressEvent } from "../shared/progress.ts";

/** A duration as people say it: 14 ms, 2.1 s, 5 min, 3 h. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

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

/** The list appears with the first thing to tell: a quick command that reports nothing shows nothing. */
async function withLiveList<T>(title: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const events: ProgressEvent[] = [];
  let show: (event: ProgressEvent) => void = (event) => events.push(event);
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const result = work((event) => {
    show(event);
    begin();
  });
  const ended = result.then(
    () => true,
    () => false,
  );
  await Promise.race([begun, ended]);
  if (events.length > 0) {
    await showList(title, ended, (listen) => {
      for (const event of events) listen(event);
      show = listen;
    });
  }
  return await result;
}

async function showList(
  title: string,
  ended: Promise<boolean>,
  listen: (show: (event: ProgressEvent) => void) => void,
): Promise<void> {
  const { Listr, ListrLogger, ProcessOutput } = await import("listr2");
  const list = new Listr(
    {
      title,
      task: async (_, task) => {
        const running = new Set<string>();
        listen((event) => {
          if (event.type === "start") running.add(event.step);
          if (event.type === "done" || event.type === "fail") running.delete(event.step);
          const line = event.type === "detail" ? undefined : lineOf(event);
          if (line !== undefined) task.output = line.trim();
          const now = event.type === "detail" ? `${event.step}: ${event.text.slice(0, 60)}` : [...running].join(", ");
          task.title = now === "" ? title : `${title} — ${now}`;
        });
        const well = await ended;
        task.title = title;
        // Only for the mark before the title; the error itself is printed by main().
        if (!well) throw new Error(title);
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
  await list.run().catch(() => undefined);
}
