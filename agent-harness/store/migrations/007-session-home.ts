/** Which home a session belongs to: its keeper and its journal are there, and only a daemon of that home looks after it. */
export const sessionHome = `
ALTER TABLE harness.sessions ADD COLUMN home text;
`;
