/**
 * The log. One row counts: it is locked from an append to its commit, so that ids are dense and rise in the order of the
 * commits, and a reader that has seen 7 will never meet a 6. `data` is json, not jsonb: jsonb refuses a NUL in a text.
 */
export const events = `
CREATE TABLE harness.event_log (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  last_id bigint NOT NULL DEFAULT 0,
  last_at timestamptz(3) NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
INSERT INTO harness.event_log DEFAULT VALUES;

-- Apart from the counter: deleting old events must not hold up new ones.
CREATE TABLE harness.event_retention (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  lowest_id bigint NOT NULL DEFAULT 1
);
INSERT INTO harness.event_retention DEFAULT VALUES;

CREATE TABLE harness.events (
  id bigint PRIMARY KEY,
  at timestamptz(3) NOT NULL,
  type text NOT NULL,
  project text NOT NULL,
  agent_id text,
  data json NOT NULL
);
CREATE INDEX events_of_project ON harness.events (project, id);
CREATE INDEX events_of_agent ON harness.events (agent_id, id) WHERE agent_id IS NOT NULL;

-- The keys of batches that waited in a file: each gets into the log once.
CREATE TABLE harness.event_batches (
  key text PRIMARY KEY,
  at timestamptz(3) NOT NULL DEFAULT now()
);

-- The notice says only that there is something: whoever gets it reads by id.
CREATE FUNCTION harness.tell_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('agent_harness_events', '');
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON harness.events FOR EACH STATEMENT EXECUTE FUNCTION harness.tell_of_events();
`;
