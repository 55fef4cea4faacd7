import { type LaunchOptions, type LaunchResult, launch } from "./launch.ts";

/**
 * Gives a stack a fresh database, an empty bucket and no mails, and starts its processes anew. It is a launch that takes
 * the old away first, under one lock, after everything that can be known to fail has been tried: a wrong config, a
 * missing program or a template database that cannot be built loses nothing. The old database is renamed away in
 * milliseconds and dropped after the launch has returned.
 */
export async function reset(options: Omit<LaunchOptions, "reset">): Promise<LaunchResult> {
  return await launch({ ...options, reset: true });
}
