import { maxPictureBytes, newEntrySchema, pictureTypes } from "common";
import { type FormEvent, useState } from "react";
import { ApiFailure, messageOf, postEntry } from "./api.ts";

/** What is wrong with the form: a message for each field, and one for the whole under the empty name. */
type Issues = Record<string, string>;

/** The form that a visitor fills in; `onSent` is called when the API has taken the entry. */
export function EntryForm({ onSent }: { onSent: () => Promise<void> }) {
  const [issues, setIssues] = useState<Issues>({});
  const [sending, setSending] = useState(false);
  const [pictureName, setPictureName] = useState<string>();

  const send = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const data = contentOf(form);
    const found = issuesOf(data);
    setIssues(found);
    if (Object.keys(found).length > 0) return;
    setSending(true);
    try {
      await postEntry(data);
      form.reset();
      setPictureName(undefined);
      await onSent();
    } catch (error) {
      setIssues({ "": messageOf(error), ...(error instanceof ApiFailure && error.issues) });
    } finally {
      setSending(false);
    }
  };

  return (
    <form onSubmit={send} onInput={() => setIssues({})} noValidate>
      <Field name="name" label="Your name" issues={issues}>
        <input id="name" name="name" autoComplete="name" maxLength={80} aria-describedby="name-issue" />
      </Field>
      <Field name="message" label="Message" issues={issues}>
        <textarea id="message" name="message" rows={4} maxLength={2000} aria-describedby="message-issue" />
      </Field>
      <div className="bar">
        <Field name="picture" label={pictureName ?? "Add a picture"} issues={issues}>
          <input
            id="picture"
            name="picture"
            type="file"
            accept={pictureTypes.join(",")}
            aria-describedby="picture-issue"
            onChange={(event) => setPictureName(event.currentTarget.files?.[0]?.name)}
          />
        </Field>
        <button type="submit" disabled={sending}>
          {sending ? "Signing …" : "Sign the guestbook"}
        </button>
      </div>
      {issues[""] && (
        <p className="failure" role="alert">
          {issues[""]}
        </p>
      )}
    </form>
  );
}

interface FieldProps {
  name: string;
  label: string;
  issues: Issues;
  children: React.ReactNode;
}

function Field({ name, label, issues, children }: FieldProps) {
  return (
    <div className={`field ${name}`}>
      <label htmlFor={name}>{label}</label>
      {children}
      <p className="issue" id={`${name}-issue`}>
        {issues[name]}
      </p>
    </div>
  );
}

/** The form's content, without the empty file that browsers send when no picture was chosen. */
function contentOf(form: HTMLFormElement): FormData {
  const data = new FormData(form);
  const picture = data.get("picture");
  if (picture instanceof File && picture.size === 0) data.delete("picture");
  return data;
}

function issuesOf(data: FormData): Issues {
  const result = newEntrySchema.safeParse(Object.fromEntries(data));
  const issues: Issues = {};
  for (const { path, message } of result.error?.issues ?? []) issues[path.join(".")] ??= message;
  const picture = data.get("picture");
  if (picture instanceof File && picture.size > maxPictureBytes) issues["picture"] = "A picture may have at most 2 MB.";
  return issues;
}
