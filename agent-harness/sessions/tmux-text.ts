/* Texts on their way into tmux, a terminal, a shell. */

/** An argument for tmux, to which one that ends in `;` is the end of a command. */
export const tmuxArgument = (text: string): string => (text.endsWith(";") ? `${text.slice(0, -1)}\\;` : text);

/**
 * A text as it may be pasted: tabs and newlines stay, other control characters go. With them a text could end the paste by
 * itself and go on as keys.
 */
export const asPasted = (text: string): string =>
  text
    .replaceAll(/\r\n?/g, "\n")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");

/** A word for a POSIX shell. */
export const shellWord = (text: string): string =>
  /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
