import type { Connection, Health } from "common";
import { useEffect, useState } from "react";
import { getConnection, getHealth, messageOf } from "./api.ts";

type Answer<T> = { value: T } | { failure: string } | undefined;

/** Says which stack answers: its agent, its database, and whether the encrypted row names that database. */
export function StackFooter() {
  const health = useAnswer(getHealth);
  const connection = useAnswer(getConnection);
  return (
    <footer>
      <StackLine health={health} connection={connection} />
    </footer>
  );
}

/** The footer's line, for answers that have come or not. */
export function StackLine({ health, connection }: { health: Answer<Health>; connection: Answer<Connection> }) {
  if (!health) return null;
  if ("failure" in health) return <span className="bad">{health.failure}</span>;
  const { agentId, database } = health.value;
  return (
    <>
      {agentId && (
        <span>
          Agent <b id="agent-id">{agentId}</b>
        </span>
      )}
      <span>
        Database <b id="database">{database}</b>
      </span>
      {connection && <ConnectionCheck answer={connection} />}
    </>
  );
}

function ConnectionCheck({ answer }: { answer: NonNullable<Answer<Connection>> }) {
  const problem =
    "failure" in answer
      ? answer.failure
      : answer.value.matches
        ? undefined
        : `Connection names another database, ${answer.value.database}`;
  return (
    <span id="connection" className={problem ? "bad" : "good"}>
      {problem ?? "Connection matches"}
    </span>
  );
}

function useAnswer<T>(ask: () => Promise<T>): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>();
  useEffect(() => {
    let gone = false;
    void ask()
      .then((value): Answer<T> => ({ value }))
      .catch((error: unknown): Answer<T> => ({ failure: messageOf(error) }))
      .then((result) => {
        if (!gone) setAnswer(result);
      });
    return () => {
      gone = true;
    };
  }, [ask]);
  return answer;
}
