/** The door of api/: the HTTP API of the harness. */
export { type Api, type ApiOptions, openApi } from "./server.ts";
