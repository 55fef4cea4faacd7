import { createServer, type Server } from "node:http";
import type { ApiError, Health } from "common";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import { z } from "zod";
import type { Context } from "./context.ts";
import { currentDatabase } from "./database.ts";

/** An error whose message is meant for whoever asked. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** An Express application with what every process answers: safe headers, and its health. */
export function createApp(context: Context): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use((_request, response, next) => {
    response.set({
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
      "Cache-Control": "no-store",
    });
    next();
  });
  app.get("/api/v1/health", async (_request, response) => {
    try {
      const database = await currentDatabase(context.pool);
      response.json({ status: "ok", database, agentId: context.env.AGENT_ID ?? null } satisfies Health);
    } catch (error) {
      console.error("The database does not answer:", error instanceof Error ? error.message : error);
      response.status(503).json({ status: "unavailable", error: "The database does not answer." });
    }
  });
  return app;
}

/** The answer to every path that no route took. */
export const notFound: RequestHandler = (request) => {
  throw new HttpError(404, `There is no ${request.method} ${request.path}.`);
};

/** Turns whatever a route threw into a status and a JSON body; what nobody foresaw is logged, and not told. */
export const answerError: ErrorRequestHandler = (error: unknown, request, response, next) => {
  if (response.headersSent) return next(error);
  const { status, body } = describe(error);
  if (status >= 500) console.error(`${request.method} ${request.path} failed:`, error);
  response.status(status).json(body);
};

function describe(error: unknown): { status: number; body: ApiError } {
  if (error instanceof z.ZodError) {
    const issues = Object.fromEntries(error.issues.map((issue) => [issue.path.join("."), issue.message]));
    return { status: 400, body: { error: "Please look at what you wrote again.", issues } };
  }
  if (error instanceof HttpError) return { status: error.status, body: { error: error.message } };
  // Express's own parsers mark the errors that are the client's.
  const status = error instanceof Error && "status" in error ? Number(error.status) : 500;
  if (error instanceof Error && status >= 400 && status < 500) return { status, body: { error: error.message } };
  return { status: 500, body: { error: "Something went wrong on our side." } };
}

/** Listens on loopback only. Rejects when the port is taken. */
export function listen(app: Express, port: number, name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(app);
    server.once("error", (cause) =>
      reject(new Error(`${name} cannot listen on port ${port}: ${cause.message}`, { cause })),
    );
    server.listen(port, "127.0.0.1", () => {
      console.info(`${name} listens on http://127.0.0.1:${port} after ${Math.round(performance.now())} ms`);
      resolve(server);
    });
  });
}
