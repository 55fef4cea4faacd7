import type { Knex } from "knex";

export async function up(db: Knex): Promise<void> {
  await db.schema.createTable("entries", (table) => {
    table.increments("id");
    table.text("name").notNullable();
    table.text("message").notNullable();
    table.text("picture_type");
    table.timestamp("created_at").notNullable().defaultTo(db.fn.now());
  });
}

export async function down(db: Knex): Promise<void> {
  await db.schema.dropTable("entries");
}
