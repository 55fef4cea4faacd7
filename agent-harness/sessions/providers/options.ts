import type { Pending } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

/** The options of a question in the words that the programs share: a label, and perhaps what it means. */
export function optionsOf(question: Record<string, unknown>): Pending["options"] {
  return asList(question["options"]).flatMap((option) => {
    const { label, description } = asRecord(option);
    const id = asText(label);
    const about = asText(description);
    return id === undefined ? [] : [{ id, label: id, ...(about === undefined ? {} : { description: about }) }];
  });
}
