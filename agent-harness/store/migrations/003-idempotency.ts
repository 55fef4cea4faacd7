/** What was asked for under a key, and what came of it: asked again, it is not done again. */
export const idempotency = `
CREATE TABLE harness.idempotency (
  scope text NOT NULL,
  key text NOT NULL,
  request text NOT NULL,
  result json,
  at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_by_age ON harness.idempotency (at);
`;
