import type { Knex } from "knex";

export async function up(db: Knex): Promise<void> {
  await db.schema.createTable("jobs", (table) => {
    table.increments("id");
    table.text("kind").notNullable().checkIn(["mail", "pdf"]);
    table.integer("entry_id").notNullable().references("entries.id").onDelete("CASCADE");
    table.integer("attempts").notNullable().defaultTo(0);
    table.text("last_error");
    table.timestamp("run_after").notNullable().defaultTo(db.fn.now());
    table.timestamp("created_at").notNullable().defaultTo(db.fn.now());
    table.timestamp("done_at");
  });
  // The runner only ever looks for jobs that are not done.
  await db.raw("create index jobs_waiting on jobs (id) where done_at is null");
}

export async function down(db: Knex): Promise<void> {
  await db.schema.dropTable("jobs");
}
