import { HarnessError } from "../shared/errors.ts";

/** A usage error, for what commander cannot see. */
export const usage = (message: string, hint: string): HarnessError => new HarnessError("USAGE", message, { hint });
