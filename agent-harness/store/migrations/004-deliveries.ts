/** Webhooks to be posted, and how the attempts went. */
export const deliveries = `
CREATE TABLE harness.deliveries (
  id text PRIMARY KEY,
  event text NOT NULL,
  project text NOT NULL,
  agent_id text NOT NULL,
  url text NOT NULL,
  token text,
  body text NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz(3) NOT NULL DEFAULT now(),
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  log jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX deliveries_due ON harness.deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_age ON harness.deliveries (created_at);
`;
