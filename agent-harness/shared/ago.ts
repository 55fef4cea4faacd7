const units: readonly [name: string, ms: number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
];

/** How long ago something was, for people: `3 minutes ago`, `just now`. */
export function ago(iso: string, now: number = Date.now()): string {
  const ms = now - Date.parse(iso);
  const unit = units.find(([, length]) => ms >= length);
  if (unit === undefined) return "just now";
  const count = Math.floor(ms / unit[1]);
  return `${count} ${unit[0]}${count === 1 ? "" : "s"} ago`;
}
