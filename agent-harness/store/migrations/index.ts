import { events } from "./001-events.ts";
import { sessions } from "./002-sessions.ts";
import { idempotency } from "./003-idempotency.ts";
import { deliveries } from "./004-deliveries.ts";
import { noBatches } from "./005-no-batches.ts";
import { sessionLives } from "./006-session-lives.ts";
import { sessionHome } from "./007-session-home.ts";

/** A step of the schema. One that was released is never changed; what is to be different is another step. */
export interface Migration {
  name: string;
  sql: string;
}

/** Every step, in order; the first is number 1. */
export const migrations: readonly Migration[] = [
  { name: "events", sql: events },
  { name: "sessions", sql: sessions },
  { name: "idempotency", sql: idempotency },
  { name: "deliveries", sql: deliveries },
  { name: "no batches", sql: noBatches },
  { name: "session lives", sql: sessionLives },
  { name: "session home", sql: sessionHome },
];
