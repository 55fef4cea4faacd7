import { type Sql, sqlJson } from "./sql.ts";

/** A project as it is kept. */
export interface StoredProject {
  name: string;
  cwd: string;
  stack?: number;
  /** JSON of the floor above. */
  callback?: unknown;
  createdAt: Date;
  /** How many sessions it has. */
  agentCount: number;
}

/** The table of projects. */
export interface ProjectTable {
  /** Undefined when the name is taken. */
  add(project: {
    name: string;
    cwd: string;
    stack?: number | undefined;
    callback?: unknown;
  }): Promise<StoredProject | undefined>;
  find(name: string): Promise<StoredProject | undefined>;
  /** The oldest first. */
  list(): Promise<StoredProject[]>;
  /** Changes what is named; null takes away. Undefined when there is no such project. */
  change(name: string, change: { cwd?: string; callback?: unknown }): Promise<StoredProject | undefined>;
  /** `in_use` while it has sessions; gone is gone. */
  remove(name: string): Promise<"removed" | "missing" | "in_use">;
}

const select = `
  SELECT name, cwd, stack, callback, created_at,
         (SELECT count(*) FROM harness.sessions WHERE project = projects.name) AS agent_count
    FROM harness.projects`;

/** The table, on a pool or in a transaction. */
export function projectTable(sql: Sql): ProjectTable {
  const find: ProjectTable["find"] = async (name) => {
    const { rows } = await sql.query(`${select} WHERE name = $1`, [name]);
    return rows[0] && readProject(rows[0]);
  };
  return {
    find,
    add: async ({ name, cwd, stack, callback }) => {
      const { rowCount } = await sql.query(
        "INSERT INTO harness.projects (name, cwd, stack, callback) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [name, cwd, stack ?? null, sqlJson(callback)],
      );
      return rowCount === 0 ? undefined : await find(name);
    },
    list: async () => (await sql.query(`${select} ORDER BY created_at, name`)).rows.map(readProject),
    change: async (name, { cwd, callback }) => {
      const { rowCount } = await sql.query(
        `UPDATE harness.projects
            SET cwd = coalesce($2, cwd), callback = CASE WHEN $3 THEN $4::json ELSE callback END
          WHERE name = $1`,
        [name, cwd ?? null, callback !== undefined, callback === null ? null : sqlJson(callback)],
      );
      return rowCount === 0 ? undefined : await find(name);
    },
    remove: async (name) => {
      // Locked first: a session that is just being added waits for us, or we for it.
      const held = await sql.query("SELECT FROM harness.projects WHERE name = $1 FOR UPDATE", [name]);
      if (held.rowCount === 0) return "missing";
      const { rowCount } = await sql.query(
        "DELETE FROM harness.projects WHERE name = $1 AND NOT EXISTS (SELECT FROM harness.sessions WHERE project = $1)",
        [name],
      );
      return rowCount === 0 ? "in_use" : "removed";
    },
  };
}

const readProject = (row: Record<string, unknown>): StoredProject => ({
  name: String(row["name"]),
  cwd: String(row["cwd"]),
  ...(row["stack"] === null ? {} : { stack: Number(row["stack"]) }),
  ...(row["callback"] === null ? {} : { callback: row["callback"] }),
  createdAt: row["created_at"] as Date,
  agentCount: Number(row["agent_count"]),
});
