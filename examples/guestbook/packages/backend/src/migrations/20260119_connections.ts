import type { Knex } from "knex";

export async function up(db: Knex): Promise<void> {
  await db.schema.createTable("connections", (table) => {
    table.integer("id").primary().checkIn(["1"]);
    table.text("sealed").notNullable();
    table.timestamp("updated_at").notNullable().defaultTo(db.fn.now());
  });
}

export async function down(db: Knex): Promise<void> {
  await db.schema.dropTable("connections");
}
