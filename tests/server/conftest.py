"""Fixtures of the server's tests; `serving.py` has them."""

from serving import *  # noqa: F403
