// How long a page offers to take back what was done: as long as it takes to see what it did, and to get there by keys.

export const UNDO_FOR = 20_000; // ms
