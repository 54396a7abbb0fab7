"""Notebooks as runs, and sweeps. Called by `api`, the command line and the server; trains nothing itself."""
