"""TensorBoard in figures: cycles without a trace, a million steps in seconds, nobody else on the host.

The browser's half stands in tests/browser/test_tensorboard.py; each test prints what it reached.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from imgcls_lab.demo_data import prepare
from imgcls_lab.engine import train
from imgcls_lab.engine.reporting.tensorboard_writer import TensorBoardWriter
from imgcls_lab.private_folder import RuntimeFolder
from imgcls_lab.schemas import BoardRequest, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.tensorboards.manager import TensorBoardManager
from tests.waiting import until

CYCLES = 20
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open(Settings(), migrate=True) as store:
        yield store


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def write_run(store: Store, settings: Settings, steps: int, name: str = "a run") -> str:
    """A queued run with curves of so many steps."""
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data"}, name=name)).id
    folder = settings.run_dir(run_id) / "tensorboard"
    folder.mkdir(parents=True, exist_ok=True)
    writer = TensorBoardWriter(folder, 1, 0)
    for step in range(1, steps + 1):
        writer.add(step, {"loss/train": 1 / step, "lr": 1e-3, "grad_norm": 1.0, "throughput/images_per_second": 99.0})
    writer.close()
    return run_id


def ask(target: Path, url: str, body: str | None = None) -> Any:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(target))
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request("POST" if body else "GET", url, body, headers)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    assert reply.status == 200, (reply.status, content[:500])
    return json.loads(content) if "json" in (reply.getheader("Content-Type") or "") else content


def listeners() -> set[str]:
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return {line for line in said.splitlines() if "boards.serve" in line or f"pid={os.getpid()}," in line}


def descendants() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def sockets() -> set[str]:
    return {str(path) for path in Path(tempfile.gettempdir()).glob(f"imgcls-tb-{os.getpid()}-*/*")}


def files(settings: Settings) -> set[str]:
    return {str(path) for path in (settings.home_path / "tensorboard").rglob("*")}


def cycle(store: Store, settings: Settings, ends: Callable[[TensorBoardManager, str], None]) -> None:
    """Open 20 times what `ends` ends, and look for what is left over."""
    boards = TensorBoardManager(settings, store)
    try:
        board = boards.open(BoardRequest(run_ids=[write_run(store, settings, 10)])).id
        boards.ensure(board)
        ends(boards, board)
        handles, before = psutil.Process().num_fds(), files(settings)
        pages = 0
        for _ in range(CYCLES):
            pages += b"<title>TensorBoard</title>" in ask(boards.ensure(board), "/")
            assert len(descendants()) == 1
            assert listeners() == set()
            ends(boards, board)
            until(lambda: not descendants())
        left = len(files(settings) - before) + psutil.Process().num_fds() - handles
        assert (pages, left) == (CYCLES, 0)
    finally:
        boards.close()
    assert sockets() == set()
    show("pages without an error", f"{pages} of {CYCLES}", f"{CYCLES} of {CYCLES}")
    show("processes, ports, files and handles left", str(left), "0")


@pytest.mark.slow
def test_20_times_opened_idle_and_opened_again(store: Store) -> None:
    def idle(boards: TensorBoardManager, board: str) -> None:
        until(lambda: not boards._processes[board].alive)
        assert boards.all()[0].state == "asleep"
        assert sockets() == set()

    cycle(store, Settings(tb_idle_timeout=0.5), idle)


@pytest.mark.slow
def test_20_times_killed_and_opened_again(store: Store) -> None:
    def kill(boards: TensorBoardManager, board: str) -> None:
        popen = boards._processes[board].popen
        assert popen
        popen.send_signal(signal.SIGKILL)
        popen.wait()
        assert boards.all()[0].state == "failed"

    cycle(store, Settings(tb_idle_timeout=0), kill)


def test_nothing_outlives_a_server_that_is_killed(store: Store) -> None:
    run_id = write_run(store, Settings(), 10)
    code = f"""
        import time
        from imgcls_lab.tensorboards.manager import TensorBoardManager
        from imgcls_lab.settings import Settings
        from imgcls_lab.store import Store
        from imgcls_lab.schemas import BoardRequest
        settings = Settings()
        boards = TensorBoardManager(settings, Store.open(settings))
        target = boards.ensure(boards.open(BoardRequest(run_ids=[{run_id!r}])).id)
        print(boards.all()[0].memory, target, flush=True)
        time.sleep(600)
    """
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    _, path = server.stdout.readline().split()
    (child,) = psutil.Process(server.pid).children()
    server.kill()
    server.wait()
    server.stdout.close()
    began = time.monotonic()
    until(lambda: not psutil.pid_exists(child.pid) and not Path(path).exists())
    show("TensorBoard and its socket gone after the server's death", f"{time.monotonic() - began:.1f} s", "under 60 s")
    next_one = RuntimeFolder(Settings().home_path, "tb")  # of whichever process of this home needs sockets next
    next_one.ready()
    assert not Path(path).parent.exists(), "the empty folder of the dead one stays no longer than that"
    next_one.remove()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_host_is_refused(store: Store) -> None:
    settings = Settings()
    boards = TensorBoardManager(settings, store)
    try:
        target = boards.ensure(boards.open(BoardRequest(run_ids=[write_run(store, settings, 10)])).id)
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(target)!r})"
        for opened in (False, True):
            # even where the folder is opened up, the socket's own mode refuses
            target.parent.chmod(0o755 if opened else 0o700)
            other = subprocess.run(
                ["/usr/bin/python3", "-c", code], user=65534, check=False, capture_output=True, text=True
            )
            assert "PermissionError" in other.stderr
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
        modes = f"{target.stat().st_mode & 0o777:o}"
        show("uid 65534 connects", f"refused, socket {modes}", "refused, socket 600")
        assert modes == "600"
    finally:
        boards.close()


def test_a_run_of_a_million_steps_opens_in_seconds_with_its_spike(store: Store) -> None:
    settings = Settings()
    boards = TensorBoardManager(settings, store)
    try:
        began = time.monotonic()
        run_id = write_run(store, settings, 1_000_000, "long")
        written = time.monotonic() - began
        size = sum(path.stat().st_size for path in (settings.run_dir(run_id) / "tensorboard").iterdir())
        began = time.monotonic()
        target = boards.ensure(boards.open(BoardRequest(run_ids=[run_id])).id)
        query = "/data/plugin/scalars/scalars?run=long&tag=loss%2Ftrain"

        def points() -> list[Any]:
            shown = ask(target, "/data/plugin/scalars/tags")
            return ask(target, query) if "loss/train" in shown.get("long", {}) else []

        until(lambda: bool(found := points()) and found[-1][1] == 1_000_000)
        opened, found = time.monotonic() - began, points()
        show("opening a run of 1,000,000 steps", f"{opened:.1f} s, {len(found):,} points a curve", "seconds")
        show("its event file, four curves", f"{size / 1e6:.2f} MB", "under 5 MB")
        show("writing a point of four curves", f"{written:.1f} µs", "far below a step")
        assert [found[0][1], found[0][2]] == [1, 1.0]
        assert len(found) < 7_000
        assert size < 5e6
        assert opened < 60
    finally:
        boards.close()


def test_plain_tensorboard_reads_every_run_of_the_home(store: Store) -> None:
    settings = Settings()
    ids = {write_run(store, settings, 50, f"run {i}") for i in range(3)}
    code = """
        import sys
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        runs = EventMultiplexer().AddRunsFromDirectory(sys.argv[1])
        runs.Reload()
        print(*(f"{name} {len(runs.Tensors(name, 'loss/train'))}" for name in runs.Runs()), sep="\\n")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(settings.runs_dir)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(said.split("\n")[:-1]) == {f"{run_id}/tensorboard 50" for run_id in ids}
    show("runs that plain `tensorboard --logdir HOME/runs` reads", f"{len(ids)} of {len(ids)}, 50 points each", "all")


def test_the_hparams_tab_compares_runs_by_their_best_epoch(store: Store) -> None:
    settings = Settings()
    demo = prepare(settings, store)
    ids = []
    for lr in (1e-4, 1e-2):
        config = demo.config.with_changes(lr=lr, epochs=1)
        ids.append(store.runs.submit(SubmitRequest(config=config.model_dump(), name=f"lr {lr:g}")).id)
        train(config, settings.run_dir(ids[-1]))
    boards = TensorBoardManager(settings, store)
    try:
        target = boards.ensure(boards.open(BoardRequest(run_ids=ids)).id)
        until(lambda: len(ask(target, "/data/runs")) == 2)
        experiment = ask(target, "/data/plugin/hparams/experiment", json.dumps({"experimentName": ""}))
        differs = [info["name"] for info in experiment["hparamInfos"] if info.get("differs")]
        metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}
        show("hyper-parameters that differ, in the HParams tab", ", ".join(differs), "lr")
        assert differs == ["lr"]
        assert {"best/accuracy", "best/macro_f1", "loss/val"} <= metrics
    finally:
        boards.close()
