"""The homes and the few digits of the notebook API's tests."""

from api.conftest import few, idle, own

__all__ = ["few", "idle", "own"]
