import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { StackLine } from "./stack-footer.tsx";

const health = { value: { status: "ok" as const, database: "agent_2", agentId: "2" } };

describe("StackLine", () => {
  it("names the agent and its database", () => {
    const html = renderToStaticMarkup(
      <StackLine health={health} connection={{ value: { database: "agent_2", matches: true } }} />,
    );
    expect(html).toContain(`Agent <b id="agent-id">2</b>`);
    expect(html).toContain(`Database <b id="database">agent_2</b>`);
    expect(html).toContain("Connection matches");
  });

  it("shows a row that still names the template database", () => {
    const html = renderToStaticMarkup(
      <StackLine health={health} connection={{ value: { database: "template", matches: false } }} />,
    );
    expect(html).toContain(`class="bad"`);
    expect(html).toContain("Connection names another database, template");
  });

  it("shows a row that cannot be read", () => {
    const failure = "The connection row cannot be read.";
    expect(renderToStaticMarkup(<StackLine health={health} connection={{ failure }} />)).toContain(failure);
  });
});
