import type { GcItem } from "../gc/items.ts";
import { gc } from "../gc.ts";
import { type Check, type DoctorContext, fine, found, type Mendable } from "./finding.ts";

/** What gc would find. */
export const checkOrphans: Check = async (context) => {
  if (context.owners === undefined) return [];
  return judgeOrphans(await gc({ ...context, dryRun: true }), () => collect(context));
};

/** What to say of what gc found: of what would go, and of what stays. */
export function judgeOrphans(items: readonly GcItem[], mend: () => Promise<string>): Mendable[] {
  const would = items.filter((one) => one.action === "would remove");
  const kept = items.filter((one) => one.action === "kept");
  const findings: Mendable[] = [];
  if (would.length > 0) {
    const what = `${would.length} thing${would.length === 1 ? "" : "s"} without an owner: ${list(would)}`;
    const cause = "what owned them is not written down any more";
    findings.push(found("DOCTOR_ORPHANS", "warning", { what, cause, fix: "agent-harness gc", mend }));
  }
  for (const { kind, name, reason } of kept) {
    const what = `${kind} ${name} has no owner`;
    findings.push(found("DOCTOR_ORPHANS", "note", { what, cause: reason, fix: "agent-harness gc --dry-run" }));
  }
  return findings.length > 0 ? findings : [fine("DOCTOR_ORPHANS", "nothing lies around without an owner")];
}

const list = (items: readonly GcItem[]): string =>
  items
    .slice(0, 4)
    .map((one) => `${one.kind} ${one.name}`)
    .join(", ") + (items.length > 4 ? " …" : "");

async function collect(context: DoctorContext): Promise<string> {
  const items = await gc(context);
  const removed = items.filter((one) => one.action === "removed").length;
  return `gc removed ${removed} thing${removed === 1 ? "" : "s"}`;
}
