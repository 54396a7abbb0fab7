"""Checkpoints on disk: whole or absent, without pickle."""
