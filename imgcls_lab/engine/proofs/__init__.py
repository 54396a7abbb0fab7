"""Proofs: the steps of a run computed again in a fresh process, and whether they are the same to the last bit."""
