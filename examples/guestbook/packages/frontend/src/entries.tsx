import type { Entry } from "common";

const dates = new Intl.DateTimeFormat("en-GB", { dateStyle: "long" });

/** What visitors wrote, newest first. */
export function Entries({ entries }: { entries: Entry[] }) {
  if (entries.length === 0) return <p className="empty">Nobody has written yet. Be the first.</p>;
  return (
    <ol className="entries">
      {entries.map((entry) => (
        <li key={entry.id}>
          <article>
            <h3>{entry.name}</h3>
            <time dateTime={entry.createdAt}>{dates.format(new Date(entry.createdAt))}</time>
            <p>{entry.message}</p>
            {entry.picture && <img src={entry.picture} alt={`Added by ${entry.name}`} loading="lazy" />}
          </article>
        </li>
      ))}
    </ol>
  );
}
