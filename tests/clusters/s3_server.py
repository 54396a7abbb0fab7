"""An S3 server on loopback for tests, in a process of its own: moto, which keeps objects in memory."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import free_port, until

_NUMBERS = itertools.count(1)
_SERVE = "import sys; from moto.server import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Bucket:
    endpoint: str
    name: str

    @classmethod
    def make(cls, endpoint: str) -> Bucket:
        """A new bucket. moto takes an unsigned request."""
        name = f"runs-{os.getpid()}-{next(_NUMBERS)}"
        request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=60).close()
        return cls(endpoint, name)

    @property
    def url(self) -> str:
        return f"s3://{self.name}/home"

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.endpoint)


def environment(endpoint: str) -> dict[str, str]:
    """By which AWS's own libraries find a server and the test's credentials."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key-of-a-test",
        "AWS_SECRET_ACCESS_KEY": "secret-of-a-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def profile(endpoint: str, folder: Path) -> dict[str, str]:
    """The same by AWS's own files, as on a node: no job and no process has the credentials in its environment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = environment(endpoint)
    keys = "".join(f"{name.lower()} = {given[name]}\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    (folder / "credentials").write_text(f"[default]\n{keys}")
    (folder / "config").write_text(f"[default]\nregion = us-east-1\nendpoint_url = {endpoint}\n")
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def serving() -> Iterator[str]:
    """The server, until the end of the block."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(endpoint) or server.poll() is not None, 60)
        assert server.poll() is None, "moto did not start: is the test extra installed?"
        yield endpoint
    finally:
        server.kill()
        server.wait(10)


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=2).close()
    except OSError:
        return False
    return True
