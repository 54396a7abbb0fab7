"""A Jupyter server in a process of its own, with the extension enabled by its config file: for tests."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[2] / "labextension" / "jupyter-config" / "server-config" / "imgcls_lab.json"


def environment(folder: Path) -> dict[str, str]:
    """Of a Jupyter whose only configuration is the file that the package installs."""
    config = folder / "config" / "jupyter_server_config.d"
    config.mkdir(parents=True)
    shutil.copy(CONFIG, config)
    folders = {f"JUPYTER_{name.upper()}_DIR": str(folder / name) for name in ("config", "data", "runtime")}
    return {**os.environ, **folders}


class Server:
    """A Jupyter server of its own process; one without the extension is there to be compared with."""

    def __init__(self, folder: Path, home: Path, variables: dict[str, str], *, extension: bool = True) -> None:
        self.log = folder / "server.log"
        self.token = secrets.token_hex(16)
        own = {"JUPYTER_TOKEN": self.token, "IMGCLS_HOME": str(home)}
        self.runtime = folder / "runtime"
        options = [] if extension else ["--ServerApp.jpserver_extensions={'imgcls_lab': False}"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--port=0", *options],
                cwd=folder,
                env={**environment(folder), **own, **variables},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.url = self._await_url()

    def _await_url(self) -> str:
        """Its address, once it answers there: Jupyter writes the port down before it listens."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            for path in self.runtime.glob("jpserver-*.json"):
                port = json.loads(path.read_text() or "{}").get("port")
                if port and _listens(port):
                    return f"http://127.0.0.1:{port}/"
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.url}imgcls/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
