import type { Server } from "node:http";
import { HarnessError } from "../../shared/errors.ts";
import { listenError, type RunningServer } from "./entry.ts";

/** Listens on a port of 127.0.0.1 and nowhere else; PORT_TAKEN when somebody has it. */
export function listenOnLoopback(server: Server, port: number): Promise<RunningServer> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, port)));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.removeAllListeners("error");
      const address = server.address();
      if (address === null || typeof address === "string") {
        reject(new HarnessError("INTERNAL", "The server has no port."));
        return;
      }
      resolve({ port: address.port, stop: () => closeServer(server) });
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
