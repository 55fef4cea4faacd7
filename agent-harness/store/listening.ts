import { newClient, type Rows, runOn, type Sql, type StorePlace } from "./sql.ts";

/** A connection that hears notices. */
export interface Listening extends Sql {
  close(): Promise<void>;
}

/** What it tells. */
export interface Heard {
  notice: () => void;
  /** The connection is gone; nothing is heard on it any more. */
  lost: () => void;
}

/** Opens a connection of its own that listens on a channel; from its return on no notice is missed. */
export async function openListening(place: StorePlace, channel: string, heard: Heard): Promise<Listening> {
  const client = newClient(place, "store listener");
  let last: Promise<unknown> = Promise.resolve();
  let open = false;
  client.on("notification", () => heard.notice());
  client.on("end", () => {
    if (open) heard.lost();
    open = false;
  });
  const query = async (text: string, values?: readonly unknown[]): Promise<Rows> => {
    const mine = last.then(() => runOn(client, place, text, values));
    last = mine.catch(() => undefined);
    return await mine;
  };
  const close = async (): Promise<void> => {
    open = false;
    await client.end();
  };
  try {
    await client.connect();
    await client.query(`LISTEN ${channel}`);
    open = true;
  } catch (error) {
    await close();
    throw error;
  }
  return { query, close };
}
