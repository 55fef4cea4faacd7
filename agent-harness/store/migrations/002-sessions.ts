/** Projects, the sessions in them, and what was said in those. */
export const sessions = `
CREATE TABLE harness.projects (
  name text PRIMARY KEY,
  cwd text NOT NULL,
  stack integer,
  callback json,
  created_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE harness.sessions (
  id text PRIMARY KEY,
  project text NOT NULL REFERENCES harness.projects (name),
  provider text NOT NULL,
  run_in text NOT NULL,
  status text NOT NULL,
  reason text,
  pending json,
  task text NOT NULL,
  model text,
  subscription text,
  stack integer,
  permissions text,
  cwd text NOT NULL,
  callback json,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  last_activity timestamptz(3) NOT NULL DEFAULT now(),
  attach_command text NOT NULL,
  journal text NOT NULL,
  provider_session_id text,
  provider_session_file text,
  state json,
  journal_offset bigint NOT NULL DEFAULT 0,
  keeper_pid integer,
  keeper_started text,
  lease_owner text,
  lease_until timestamptz
);
CREATE INDEX sessions_of_project ON harness.sessions (project, created_at);

CREATE TABLE harness.messages (
  session_id text NOT NULL REFERENCES harness.sessions (id) ON DELETE CASCADE,
  id text NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz(3) NOT NULL,
  role text NOT NULL,
  text text NOT NULL,
  finish_reason text,
  source text,
  PRIMARY KEY (session_id, id)
);
CREATE INDEX messages_in_order ON harness.messages (session_id, seq);
`;
