import type { Update } from "../session.ts";
import type { Ending } from "./claude-code-state.ts";
import { asList, asText } from "./json.ts";

/* How Claude Code says that a turn is over. `is_error` decides: a refused API call has the subtype "success". */

type Json = Record<string, unknown>;

/** How the turn ended, and what there is to tell of it. */
export function endingOf(result: Json, interrupted: boolean): { ending: Ending; updates: Update[] } {
  const why = asText(result["terminal_reason"]) ?? "";
  const failed = result["is_error"] === true || (asText(result["subtype"]) ?? "success").startsWith("error");
  if (why.startsWith("aborted") || (interrupted && failed)) {
    return { ending: { status: "idle", reason: "interrupted" }, updates: [] };
  }
  if (failed) {
    const message = failureOf(result);
    return { ending: { status: "error", reason: message }, updates: [{ type: "error", message }] };
  }
  const denied = asList(result["permission_denials"]).length;
  if (denied === 0) return { ending: { status: "idle" }, updates: [] };
  return {
    ending: { status: "idle", reason: `${denied} tool ${denied === 1 ? "call was" : "calls were"} denied` },
    updates: [],
  };
}

function failureOf(result: Json): string {
  const errors = asList(result["errors"]).filter((one) => typeof one === "string");
  const said = asText(result["result"]) || errors.join("; ") || asText(result["subtype"]) || "no reason given";
  return said.slice(0, 2000);
}

/** Why it asks its model again, for a person. */
export function retryReason(line: Json): string {
  const { attempt, max_retries: most, retry_delay_ms: delay, error_status: status, error } = line;
  const seconds = typeof delay === "number" ? ` in ${Math.ceil(delay / 1000)} s` : "";
  const what = [status, error].filter((one) => one !== null && one !== undefined).join(" ");
  return `asks the model again${seconds}, attempt ${String(attempt)} of ${String(most)}: ${what || "no reason given"}`;
}
