/** No events wait in files any more: what a session does while the store is away waits in its journal. */
export const noBatches = `
DROP TABLE harness.event_batches;
`;
