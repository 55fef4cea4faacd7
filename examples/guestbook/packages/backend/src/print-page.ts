import type { Entry } from "common";

/** An entry with its picture as a `data:` URL, so that the page needs nothing but itself. */
export interface PrintedEntry extends Omit<Entry, "picture"> {
  picture: string | null;
}

/** The guestbook as one HTML page for paper. */
export function printPage(entries: PrintedEntry[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Guestbook</title>
<style>${style}</style>
</head>
<body>
<h1>Guestbook</h1>
<p class="count">${entries.length === 1 ? "1 entry" : `${entries.length} entries`}</p>
${entries.map(article).join("\n")}
</body>
</html>
`;
}

const article = ({ name, message, createdAt, picture }: PrintedEntry): string => `<article>
<h2>${escapeHtml(name)}</h2>
<time>${escapeHtml(dateOf(createdAt))}</time>
<p>${escapeHtml(message)}</p>
${picture === null ? "" : `<img src="${escapeHtml(picture)}" alt="">`}
</article>`;

const dateOf = (iso: string): string =>
  new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" }).format(new Date(iso));

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text that is safe between tags and inside a quoted attribute. */
export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);

const style = `
body { font: 11pt/1.5 Georgia, "Times New Roman", serif; color: #26221c; margin: 0; }
h1 { font-size: 26pt; font-weight: normal; margin: 0; }
.count { color: #7a7060; font-style: italic; margin: 0 0 20pt; }
article { border-top: 0.5pt solid #d8d0c0; padding: 12pt 0; break-inside: avoid; }
h2 { font-size: 13pt; margin: 0; display: inline; }
time { float: right; color: #7a7060; font-size: 9.5pt; }
p { margin: 4pt 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
img { display: block; margin-top: 8pt; max-width: 60%; max-height: 70mm; border-radius: 3pt; }
`;
