/**
 * The name of a session can be used again after its end. Its events stay, so the row says which one is the first of its own;
 * keys that were used for it end with it.
 */
export const sessionLives = `
ALTER TABLE harness.sessions ADD COLUMN first_event_id bigint NOT NULL DEFAULT 0;
UPDATE harness.sessions SET first_event_id = coalesce(
  (SELECT max(events.id) FROM harness.events WHERE agent_id = sessions.id AND type = 'agent_started'), 0);

ALTER TABLE harness.idempotency ADD COLUMN session_id text REFERENCES harness.sessions (id) ON DELETE CASCADE;
UPDATE harness.idempotency SET session_id = sessions.id FROM harness.sessions
 WHERE idempotency.scope = 'input ' || sessions.id
    OR idempotency.scope = 'create ' || sessions.project AND idempotency.result ->> 'id' = sessions.id;
DELETE FROM harness.idempotency WHERE session_id IS NULL;
CREATE INDEX idempotency_of_session ON harness.idempotency (session_id);
`;
