const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A length of time as people write it (`90s`, `30m`, `1h30m`, `4h`, `2d`), in ms; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d{1,6}[smhd])+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ""] ?? 0), 0);
}

const names: readonly [name: string, ms: number][] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** A length of time for people, in its largest unit that it fills twice: `31 min`, `3 h`, `45 s`. */
export function roughly(ms: number): string {
  const [name, length] = names.find(([, unit]) => ms >= 2 * unit) ?? ["s", 1000];
  return `${Math.floor(Math.max(0, ms) / length)} ${name}`;
}
