// What must exist after operations of which some ran at the same time: a command counts from its start to its end, and which
// of two that overlapped was the last to work cannot be known.

/** To which state of a stack each operation leads when it succeeds. */
const leadsTo = { launch: "up", reset: "up", restore: "up", teardown: "down" };

/** What takes away what was written before. */
const clears = ["reset", "restore", "teardown"];

/** The states in which the stack of one id may be: `up`, `down`, or `any` when a killed or failed command came last. */
export function finalStates(events) {
  const telling = events.flatMap((one) => {
    const state = stateAfter(one);
    return state === undefined ? [] : [{ ...one, state }];
  });
  const last = telling.filter((one) => !telling.some((other) => other !== one && isAfter(other, one)));
  return new Set(last.length === 0 ? ["down"] : last.map((one) => one.state));
}

/** A restart works on a stack as it is; killed in between, it leaves one that has to be launched again. */
function stateAfter({ verb, outcome }) {
  if (outcome === "refused") return undefined;
  if (outcome === "ok") return leadsTo[verb];
  return leadsTo[verb] === undefined && verb !== "restart" ? undefined : "any";
}

/** Whether one began when the other had ended. */
const isAfter = (later, earlier) => later.from >= earlier.to;

/** The texts that were written, with an answer, after the last thing that may have taken them away. */
export function mustHold(events) {
  const clearing = events.flatMap((one) => {
    if (!clears.includes(one.verb) || one.outcome === "refused") return [];
    return [{ ...one, to: one.outcome === "ok" ? one.to : finishedBy(one, events) }];
  });
  return events
    .filter((one) => one.verb === "write" && one.outcome === "ok" && clearing.every((other) => other.to <= one.from))
    .map((one) => one.text);
}

/** A killed reset, restore or teardown is finished by the next command that brings the stack to a state, if there is one. */
function finishedBy(killed, events) {
  const ends = events
    .filter((one) => one.outcome === "ok" && leadsTo[one.verb] !== undefined && one.from >= killed.to)
    .map((one) => one.to);
  return Math.min(...ends, Number.POSITIVE_INFINITY);
}
