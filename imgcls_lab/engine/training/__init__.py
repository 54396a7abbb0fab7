"""One attempt at a run, from the config to its last event."""
