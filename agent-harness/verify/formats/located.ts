import { lineFormat } from "./format.ts";

const located = /^\s{0,4}([\w./@~][^:()'"]*\.[A-Za-z]\w{0,9}):(\d+)(?::\d+)?(?::| -) *(\D.+)$/;
const harmless = /^(?:warning|note|info)\b|\[Warning\b/i;

/** The last resort: any `file.ext:line: message`, as mypy, ruff, gcc and many others print. */
export const locatedLine = lineFormat("located line", (text) => {
  const [, file, line, message] = located.exec(text) ?? [];
  if (!file || !message || harmless.test(message)) return undefined;
  return { file, line: Number(line), message: message.replace(/^(?:fatal )?error: */i, "") };
});
