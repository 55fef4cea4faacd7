import type { Entry } from "common";
import { useCallback, useEffect, useState } from "react";
import { getEntries, messageOf } from "./api.ts";
import { Entries } from "./entries.tsx";
import { EntryForm } from "./entry-form.tsx";
import { StackFooter } from "./stack-footer.tsx";

/** The page: a form, what others wrote, and which stack one is looking at. */
export function App() {
  const [entries, setEntries] = useState<Entry[]>();
  const [failure, setFailure] = useState<string>();

  const load = useCallback(async () => {
    try {
      setEntries(await getEntries());
      setFailure(undefined);
    } catch (error) {
      setFailure(messageOf(error));
    }
  }, []);

  useEffect(() => {
    void load();
  }, [load]);

  return (
    <>
      <header>
        <h1>Guestbook</h1>
        <p>Thank you for stopping by. Leave a few lines before you go.</p>
      </header>
      <main>
        <EntryForm onSent={load} />
        <section aria-labelledby="entries">
          <div className="bar">
            <h2 id="entries">{title(entries)}</h2>
            <a href="/api/v1/guestbook.pdf" target="_blank" rel="noreferrer">
              Download as PDF
            </a>
          </div>
          {failure && (
            <p className="failure" role="alert">
              {failure}
            </p>
          )}
          {entries && <Entries entries={entries} />}
        </section>
      </main>
      <StackFooter />
    </>
  );
}

function title(entries: Entry[] | undefined): string {
  if (!entries) return "Entries";
  return entries.length === 1 ? "1 entry" : `${entries.length} entries`;
}
