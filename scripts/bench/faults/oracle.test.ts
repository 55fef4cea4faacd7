import { expect, test } from "vitest";
import { finalStates, mustHold } from "./oracle.mjs";

const at = (verb: string, from: number, to: number, outcome = "ok", text?: string) => ({
  verb,
  from,
  to,
  outcome,
  text,
});
const states = (...events: unknown[]) => [...finalStates(events)].sort();

test("what ended last, alone, decides whether there is a stack", () => {
  expect(states()).toEqual(["down"]);
  expect(states(at("launch", 0, 1), at("teardown", 2, 3))).toEqual(["down"]);
  expect(states(at("teardown", 0, 1), at("launch", 2, 3), at("restart", 4, 5), at("save", 6, 7))).toEqual(["up"]);
  expect(states(at("launch", 0, 1), at("reset", 2, 3, "refused"))).toEqual(["up"]);
});

test("of two that overlap either may have been the last", () => {
  expect(states(at("launch", 0, 5), at("teardown", 4, 6))).toEqual(["down", "up"]);
  expect(states(at("launch", 0, 5), at("reset", 4, 6))).toEqual(["up"]);
});

test("after a kill anything may be there, until the next command that succeeds", () => {
  expect(states(at("launch", 0, 1), at("teardown", 2, 3, "killed"))).toEqual(["any"]);
  expect(states(at("teardown", 0, 1, "killed"), at("launch", 2, 3))).toEqual(["up"]);
  expect(states(at("launch", 0, 1), at("save", 2, 3, "killed"))).toEqual(["up"]);
});

test("what was written has to be there unless something that clears may have come later", () => {
  const written = at("write", 10, 11, "ok", "one");
  expect(mustHold([at("reset", 0, 9), written, at("launch", 12, 13), at("restart", 14, 15)])).toEqual(["one"]);
  expect(mustHold([written, at("reset", 12, 13)])).toEqual([]);
  expect(mustHold([at("teardown", 5, 10.5), written])).toEqual([]);
  expect(mustHold([written, at("reset", 12, 13, "refused")])).toEqual(["one"]);
  expect(mustHold([at("write", 10, 11, "refused", "one")])).toEqual([]);
});

test("a killed reset goes on in the next launch, and takes along what was written between them", () => {
  const killed = at("reset", 0, 1, "killed");
  const between = at("write", 2, 3, "ok", "between");
  const after = at("write", 6, 7, "ok", "after");
  expect(mustHold([killed, between, at("launch", 4, 5), after])).toEqual(["after"]);
  expect(mustHold([killed, between])).toEqual([]);
});
