"""Runs' folders by way of an object store, for a cluster whose nodes share no disk with the head (docs/cluster.md)."""
