import { readFileSync } from "node:fs";
import { templatePath } from "../../shared/paths.ts";

/**
 * The NODE_OPTIONS of a browser in a network of its own, by which its `localhost` is this machine's. The module goes as text:
 * the container may not see our files, and an engine in a virtual machine not even the folder they lie in.
 */
export const localhostIsTheMachine = (): string =>
  `--import=data:text/javascript,${encodeURIComponent(readFileSync(templatePath("browser-localhost.mjs"), "utf8"))}`;
