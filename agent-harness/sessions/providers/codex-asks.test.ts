import { describe, expect, it } from "vitest";
import { busy, type Told } from "../../testing/codex-told.ts";
import { printed } from "../../testing/replay.ts";
import type { Answer } from "../session.ts";

describe("answers to codex", () => {
  const asked = (method: string, params: object): Told => {
    const session = busy();
    session.read(...printed({ method, id: 5, params: { threadId: "t1", turnId: "u1", itemId: "i1", ...params } }));
    return session;
  };
  const result = (session: Told, answer: Answer): unknown => (session.respond(answer)[0] as { result: unknown }).result;

  it.each([
    ["allow", "accept"],
    ["allow_always", "acceptForSession"],
    ["deny", "decline"],
  ] as const)("%s for a command", (decision, said) => {
    expect(result(asked("item/commandExecution/requestApproval", { command: "ls" }), { decision })).toEqual({
      decision: said,
    });
  });

  it("gives the words of a refusal as input", () => {
    const [answer, input] = asked("item/fileChange/requestApproval", {}).respond({ decision: "deny", message: "No." });
    expect(answer).toEqual({ id: 5, result: { decision: "decline" } });
    expect(input).toMatchObject({ method: "turn/start", params: { threadId: "t1", input: [{ text: "No." }] } });
  });

  it("names what is asked for in one line", () => {
    const title = (method: string, params: object): string => asked(method, params).pending().title;
    expect(title("item/commandExecution/requestApproval", { command: "cat <<E\nx\nE" })).toBe("cat <<E …");
    const host = { host: "example.org", protocol: "https" };
    expect(title("item/commandExecution/requestApproval", { networkApprovalContext: host })).toBe(
      "Reach example.org (https)",
    );
    expect(title("item/fileChange/requestApproval", { reason: "Outside of the project." })).toBe(
      "Outside of the project.",
    );
    expect(title("item/permissions/requestApproval", { reason: null })).toBe("Get more permissions");
  });

  it("gives the permissions that were asked for, for the turn or the session", () => {
    const permissions = { network: { enabled: true }, fileSystem: null };
    const session = asked("item/permissions/requestApproval", { permissions });
    const network = { network: { enabled: true } };
    expect(result(session, { decision: "allow" })).toEqual({ permissions: network, scope: "turn" });
    expect(result(session, { decision: "allow_always" })).toEqual({ permissions: network, scope: "session" });
    expect(result(session, { decision: "deny" })).toEqual({ permissions: {}, scope: "turn" });
  });

  it("takes answers by a question's id, text, heading or place, and none that is for no question", () => {
    const one = { id: "db", header: "Database", question: "Which?", options: [{ label: "Postgres" }] };
    const two = { id: "os", header: "System", question: "Where?", options: null };
    const both = asked("item/tool/requestUserInput", { questions: [one, two] });
    const base = { multiSelect: false, freeText: true, required: true };
    expect(both.pending()).toMatchObject({
      kind: "question",
      title: "Which? (and 1 more)",
      options: [{ id: "Postgres", label: "Postgres" }],
      questions: [
        { ...base, id: "db", header: "Database", question: "Which?", options: [{ id: "Postgres", label: "Postgres" }] },
        { ...base, id: "os", header: "System", question: "Where?", options: [] },
      ],
    });
    expect(result(both, { answers: { "Which?": ["Postgres", "SQLite"], System: "here" } })).toEqual({
      answers: { db: { answers: ["Postgres", "SQLite"] }, os: { answers: ["here"] } },
    });
    expect(result(both, { answers: { other: "x" } })).toEqual({ answers: {} });
    const alone = asked("item/tool/requestUserInput", { questions: [one] });
    expect(result(alone, { answers: { 1: "sqlite" } })).toEqual({ answers: { db: { answers: ["sqlite"] } } });
    expect(result(alone, { answers: { answer: "SQLite" } })).toEqual({ answers: {} });
    expect(alone.canRespond(alone.pending(), { decision: "allow" })).toBe(false);
  });

  it("fills in the form of a server of tools, or agrees to what it asks", () => {
    const properties = {
      name: { type: "string", description: "Your name" },
      age: { type: "integer" },
      ok: { type: "boolean" },
    };
    const form = asked("mcpServer/elicitation/request", {
      mode: "form",
      message: "Please:",
      requestedSchema: { properties },
    });
    expect(form.pending()).toMatchObject({ kind: "question", title: "Please: Your name (and 2 more)" });
    expect(result(form, { answers: { "Your name": "Ada", age: "36", ok: "yes" } })).toEqual({
      action: "accept",
      content: { name: "Ada", age: 36, ok: true },
      _meta: null,
    });
    const bad = { answers: { "Your name": "Ada", age: "36.5", ok: "no" } };
    expect(() => result(form, bad)).toThrow('age takes a whole number, not "36.5".');
    const plain = asked("mcpServer/elicitation/request", { mode: "form", message: "Delete all?", requestedSchema: {} });
    expect(plain.pending()).toMatchObject({ kind: "permission", title: "Delete all?" });
    expect(result(plain, { decision: "deny" })).toMatchObject({ action: "decline" });
    expect(result(plain, { decision: "allow" })).toMatchObject({ action: "accept", content: {} });
  });

  it("says which fields of a form may be left out, and what may be chosen, one or several", () => {
    const properties = {
      size: { type: "string", title: "Size", enum: ["s", "m"], enumNames: ["Small", "Middle"] },
      colours: {
        type: "array",
        items: {
          anyOf: [
            { const: "r", title: "Red" },
            { const: "b", title: "Blue" },
          ],
        },
      },
      tags: { type: "array", items: { type: "string", enum: ["x", "y"] } },
      ok: { type: "boolean" },
      note: { type: "string" },
    };
    const requestedSchema = { type: "object", properties, required: ["size", "colours"] };
    const form = asked("mcpServer/elicitation/request", { mode: "form", message: "Order", requestedSchema });
    const { questions = [] } = form.pending();
    const told = questions.map(({ id, options, multiSelect, freeText, required }) =>
      [id, options.map((one) => one.id).join("|"), multiSelect, freeText, required].join(" "),
    );
    expect(told).toEqual([
      "size s|m false false true",
      "colours r|b true false true",
      "tags x|y true false false",
      "ok yes|no false false false",
      "note  false true false",
    ]);
    expect(questions[0]?.options[0]).toEqual({ id: "s", label: "s", description: "Small" });
    expect(result(form, { answers: { Size: "m", colours: ["r", "b"], ok: "No" } })).toMatchObject({
      content: { size: "m", colours: ["r", "b"], ok: false },
    });
  });
});
