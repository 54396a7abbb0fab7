"""A real `jupyter server` process: enabled by its config file, light, discreet, and answering under the root URL."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server_process import Server, environment

PASSWORD = "s3cret/pass word"


@pytest.fixture
def serve(tmp_path: Path, home: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(**variables: str) -> Server:
        server = Server(tmp_path, home, variables)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


def test_a_server_is_enabled_by_the_config_file_and_never_loads_torch(serve: Callable[..., Server]) -> None:
    server = serve(IMGCLS_AUTOSTART="0")
    assert server.ask("GET", "info")[0] == 200
    assert server.ask("POST", "demo")[0] == 200
    start = server.ask("GET", "configs/schema")[1]["start"]
    assert server.ask("POST", "configs/check", {"config": start})[1]["problems"] == []
    status, run = server.ask("POST", "runs", {"config": start})
    assert (status, run["state"]) == (201, "queued")
    for path in ("runs", f"runs/{run['id']}", f"series?run={run['id']}", "models", "datasets", "devices"):
        assert server.ask("GET", path)[0] == 200

    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "python" in maps
    for library in ("libtorch", "libc10", "torchvision", "tokenizers"):
        assert library not in maps
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 10


def test_the_extension_list_says_ok(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.strip() for line in (shown.stdout + shown.stderr).splitlines() if "imgcls_lab" in line]
    assert any("enabled" in line for line in lines)
    assert any("OK" in line for line in lines), lines


def test_a_server_wakes_an_executor_that_outlives_it(serve: Callable[..., Server]) -> None:
    from imgcls_lab.executor import client
    from imgcls_lab.settings import Settings

    def states(devices: Any) -> list[str]:
        return [executor["state"] for executor in devices["executors"]]

    server = serve()
    try:
        until = time.monotonic() + 30
        while states(server.ask("GET", "devices")[1]) != ["alive"]:
            assert time.monotonic() < until, server.log.read_text()
            time.sleep(0.1)
        status, devices = server.ask("POST", "executor/start")
        assert (status, states(devices)) == (200, ["alive"])
        server.process.kill()
        server.process.wait()
        assert [executor.state for executor in client.status(Settings()).executors] == ["alive"]
    finally:
        client.stop(Settings())


def test_the_database_password_is_in_no_reply_log_or_process_list(serve: Callable[..., Server], home: Path) -> None:
    server = serve(IMGCLS_DB_URL=f"postgresql://lab:{quote(PASSWORD, safe='')}@127.0.0.1:9/lab", IMGCLS_AUTOSTART="0")
    said = []
    for method, path in (("GET", "runs"), ("GET", "info"), ("POST", "projects"), ("GET", "devices")):
        status, reply = server.ask(method, path, {"name": "x"} if method == "POST" else None)
        said.append(json.dumps(reply))
        assert status == (200 if path == "info" else 503), reply
    assert "127.0.0.1" in said[0]
    said.append(server.log.read_text())
    said += [p.read_bytes().decode(errors="replace") for p in Path("/proc").glob("[0-9]*/cmdline") if _readable(p)]
    said += [p.read_text(errors="replace") for p in home.rglob("*") if p.is_file()]
    for text in said:
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
