import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { maxPictureBytes, newEntrySchema } from "common";
import express, { type Express, type RequestHandler, type Response } from "express";
import multer, { MulterError } from "multer";
import { readConnection } from "./connection.ts";
import type { Context } from "./context.ts";
import { addEntry, findPictureType, listEntries, pictureKey } from "./entries.ts";
import { answerError, createApp, HttpError, notFound } from "./http.ts";
import { makePdf, pdfKey } from "./pdf.ts";
import { type Picture, pictureTypeOf } from "./pictures.ts";

/** The API of the guestbook. */
export function createApi(context: Context): Express {
  const { env, pool, bucket } = context;
  const app = createApp(context);

  app.get("/api/v1/entries", async (_request, response) => {
    response.json({ entries: await listEntries(pool) });
  });

  app.post("/api/v1/entries", express.json({ limit: "32kb" }), takePicture, async (request, response) => {
    const entry = newEntrySchema.parse(request.body ?? {});
    response.status(201).json(await addEntry(context, entry, pictureOf(request.file?.buffer)));
  });

  app.get("/api/v1/entries/:id/picture", async (request, response) => {
    const id = entryId(request.params.id);
    const type = await findPictureType(pool, id);
    const picture = type && (await bucket.find(pictureKey(id)));
    if (!type || !picture) throw new HttpError(404, `Entry ${id} has no picture.`);
    await send(response, type, picture);
  });

  app.get("/api/v1/guestbook.pdf", async (_request, response) => {
    let pdf = await bucket.find(pdfKey);
    if (!pdf) {
      await makePdf(context);
      pdf = await bucket.find(pdfKey);
    }
    if (!pdf) throw new Error(`${pdfKey} is not in the bucket, although it was just made.`);
    response.set("Content-Disposition", 'inline; filename="guestbook.pdf"');
    await send(response, "application/pdf", pdf);
  });

  app.get("/api/v1/connection", async (_request, response) => {
    try {
      response.json(await readConnection(pool, env.APP_SECRET));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.error("The connection row cannot be read:", reason);
      response.status(500).json({ error: `The connection row cannot be read. ${reason}` });
    }
  });

  app.use(notFound);
  app.use(answerError);
  return app;
}

const upload = multer({
  storage: multer.memoryStorage(),
  limits: { fileSize: maxPictureBytes, files: 1, fields: 10, fieldSize: 32 * 1024 },
}).single("picture");

/** Reads a multipart form into the body and the file; other requests pass. */
const takePicture: RequestHandler = (request, response, next) => {
  upload(request, response, (error: unknown) => {
    if (error instanceof MulterError) {
      const tooLarge = error.code === "LIMIT_FILE_SIZE";
      return next(
        tooLarge ? new HttpError(413, "A picture may have at most 2 MB.") : new HttpError(400, error.message),
      );
    }
    next(error);
  });
};

function pictureOf(bytes: Buffer | undefined): Picture | undefined {
  if (!bytes) return undefined;
  const type = pictureTypeOf(bytes);
  if (!type) throw new HttpError(415, "A picture must be a JPEG, PNG, WebP or GIF.");
  return { bytes, type };
}

function entryId(text: string): number {
  const id = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
  if (id === undefined) throw new HttpError(404, `There is no entry ${text}.`);
  return id;
}

async function send(response: Response, type: string, content: Readable): Promise<void> {
  response.type(type);
  await pipeline(content, response);
}
