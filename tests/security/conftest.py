"""The security tests ask the same server as the server's tests. An innocent process must outlive each attack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.run_layout import RUN_TAG

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from serving import *  # noqa: F403


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this user that is no run of anybody."""
    environment = {name: value for name, value in os.environ.items() if name != RUN_TAG}
    sleeper = subprocess.Popen(["sleep", "600"], env=environment)
    yield sleeper
    sleeper.kill()
    sleeper.wait()
