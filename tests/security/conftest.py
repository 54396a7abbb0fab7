"""The security tests ask the same server as the server's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from serving import *  # noqa: F403
