"""Torch-free arithmetic of a run that engine, server, sweeps and forms share: each formula is written once, here."""
