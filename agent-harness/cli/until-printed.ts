/** Resolves when everything written to stdout has been taken: a process that exits sooner cuts off what a slow reader gets. */
export function untilPrinted(): Promise<void> {
  // A reader that has gone is an end as well.
  return new Promise((resolve) => void process.stdout.write("", () => resolve()));
}
