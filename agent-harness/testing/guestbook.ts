import { expect } from "vitest";

/* What a person does in the guestbook of a stack, through its API. */

/** A URL of the API of one stack. */
export const api = (id: number, path: string): string => `http://localhost:${8000 + id * 10}/api/v1/${path}`;

/** The JSON at a URL; expects status 200. */
export async function getJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  expect(response.status, `${url}: ${await response.clone().text()}`).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** Signs with a name and a greeting. */
export async function sign(id: number, name: string): Promise<void> {
  const body = JSON.stringify({ name, message: `Greetings of ${name}` });
  const response = await fetch(api(id, "entries"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  expect(response.status, await response.text()).toBeLessThan(300);
}

/** A picture of one dot. */
export const picture = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

/** Signs with the picture, and gives what the stack says the picture is. */
export async function signWithPicture(id: number, name: string): Promise<Buffer> {
  const form = new FormData();
  form.set("name", name);
  form.set("message", "with a picture");
  form.set("picture", new Blob([picture], { type: "image/png" }), "dot.png");
  const made = await fetch(api(id, "entries"), { method: "POST", body: form });
  const entry = (await made.json()) as { id: number };
  const back = await fetch(api(id, `entries/${entry.id}/picture`));
  return Buffer.from(await back.arrayBuffer());
}

/** The guestbook as PDF; expects that it is one. */
export async function getPdf(id: number): Promise<Buffer> {
  const answer = await fetch(api(id, "guestbook.pdf"));
  const pdf = Buffer.from(await answer.arrayBuffer());
  expect(answer.status, pdf.toString("latin1").slice(0, 500)).toBe(200);
  expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
  return pdf;
}
