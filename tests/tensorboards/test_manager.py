"""TensorBoard's life cycle: on a private socket, asleep when nobody looks, back when somebody does."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from imgcls_lab import private_folder
from imgcls_lab.errors import ImgclsError, InputError, NotFoundError
from imgcls_lab.schemas import BoardRequest, RunEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.tensorboards.manager import MAX_ASLEEP, TensorBoardManager
from tests.waiting import until


@pytest.fixture
def settings() -> Settings:
    return Settings(tb_idle_timeout=0)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings, migrate=True) as store:
        yield store


@pytest.fixture
def boards(settings: Settings, store: Store) -> Iterator[TensorBoardManager]:
    boards = TensorBoardManager(settings, store)
    yield boards
    boards.close()


def make_run(store: Store, settings: Settings, name: str, **fields: Any) -> str:
    """A queued run with one scalar in its TensorBoard folder."""
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data"}, name=name, **fields)).id
    folder = settings.run_dir(run_id) / "tensorboard"
    writer = EventFileWriter(str(folder))
    value = Summary.Value(tag="loss/train", simple_value=0.5)
    writer.add_event(Event(wall_time=time.time(), step=1, summary=Summary(value=[value])))
    writer.close()
    return run_id


def get(target: Path, url: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(target))
    connection.request("GET", url)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, body


def runs_shown(target: Path) -> set[str]:
    return set(json.loads(get(target, "/data/runs")[1]))


def pid_of(boards: TensorBoardManager, board_id: str) -> int:
    popen = boards._processes[board_id].popen
    assert popen is not None
    return popen.pid


def tcp_listeners(pid: int) -> list[object]:
    return [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]


def test_a_board_serves_its_runs_by_the_names_of_the_panel(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    run_id = make_run(store, settings, "vit-base lr 3e-4")
    board = boards.open(BoardRequest(run_ids=[run_id]))
    assert board.state == "asleep"
    target = boards.ensure(board.id)
    assert get(target, "/")[0] == 200
    until(lambda: runs_shown(target) == {"vit-base lr 3e-4"})
    (view,) = boards.all()
    assert view.state == "running"
    assert view.memory is not None
    assert view.memory > 10_000_000


def test_the_socket_is_private_and_no_tcp_port_is_opened(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    target = boards.ensure(board.id)
    get(target, "/data/plugins_listing")
    path = target
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert tcp_listeners(pid_of(boards, board.id)) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_host_cannot_connect(boards: TensorBoardManager, store: Store, settings: Settings) -> None:
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    target = boards.ensure(board.id)
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(target)!r})"
    own = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert own.returncode == 0, own.stderr
    other = subprocess.run(["/usr/bin/python3", "-c", code], user=65534, capture_output=True, text=True, check=False)
    assert "PermissionError" in other.stderr


def test_a_run_added_to_a_live_board_shows_up_without_a_restart(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    one, two = make_run(store, settings, "one"), make_run(store, settings, "two")
    board = boards.open(BoardRequest(run_ids=[one]))
    target = boards.ensure(board.id)
    pid = pid_of(boards, board.id)
    boards.add(board.id, [two])
    until(lambda: runs_shown(target) == {"one", "two"})
    assert pid_of(boards, board.id) == pid


def test_a_project_board_follows_new_runs_and_new_names(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    one = make_run(store, settings, "one")
    board = boards.open(BoardRequest(project_id=store.runs.get(one).project_id))
    target = boards.ensure(board.id)
    make_run(store, settings, "two")
    store.runs.edit(one, RunEdit(name="first"))
    boards.refresh()
    until(lambda: runs_shown(target) == {"first", "two"})


def test_names_that_are_no_file_names_and_equal_names_are_told_apart(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    ids = [make_run(store, settings, name) for name in ("../../etc/passwd", "same", "same", "<b>")]
    board = boards.open(BoardRequest(run_ids=ids))
    folder = settings.home_path / "tensorboard" / board.id / "logdir"
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 4
    assert {path.resolve().parent.parent for path in folder.iterdir()} == {settings.runs_dir.resolve()}


def test_an_idle_board_ends_by_itself_and_comes_back(store: Store) -> None:
    settings = Settings(tb_idle_timeout=1.5)
    boards = TensorBoardManager(settings, store)
    try:
        board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
        for _ in range(3):
            target = boards.ensure(board.id)
            assert get(target, "/")[0] == 200
            process = boards._processes[board.id]
            until(lambda p=process: not p.alive)
            assert boards.all()[0].state == "asleep"
            assert not target.exists()
    finally:
        boards.close()


def test_a_board_that_was_killed_comes_back_each_time(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    for _ in range(5):
        target = boards.ensure(board.id)
        assert get(target, "/")[0] == 200
        os.kill(pid_of(boards, board.id), signal.SIGKILL)
        boards._processes[board.id].popen.wait()  # type: ignore[union-attr]


def test_a_board_that_cannot_start_says_why(
    boards: TensorBoardManager, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    monkeypatch.setattr(boards._sockets, "socket", lambda _: Path("/proc/no-folder/socket"))
    with pytest.raises(ImgclsError, match=r"No such file"):
        boards.ensure(board.id)
    assert boards.all()[0].state == "failed"


def test_nothing_is_left_when_the_server_is_killed(store: Store, settings: Settings) -> None:
    run_id = make_run(store, settings, "a")
    code = f"""
        import time
        from imgcls_lab.settings import Settings
        from imgcls_lab.store import Store
        from imgcls_lab.tensorboards.manager import TensorBoardManager
        from imgcls_lab.schemas import BoardRequest
        settings = Settings()
        boards = TensorBoardManager(settings, Store.open(settings))
        board = boards.open(BoardRequest(run_ids=[{run_id!r}]))
        target = boards.ensure(board.id)
        print(boards._processes[board.id].popen.pid, target, flush=True)
        time.sleep(600)
    """
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    pid, path = server.stdout.readline().split()
    server.kill()
    server.wait()
    server.stdout.close()
    until(lambda: not psutil.pid_exists(int(pid)))
    until(lambda: not Path(path).exists())
    private_folder.remove_stale(Path(path).parent.parent)  # as the next server does
    assert not Path(path).parent.exists()


def test_closing_ends_every_process_and_removes_the_sockets(store: Store, settings: Settings) -> None:
    boards = TensorBoardManager(settings, store)
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    target = boards.ensure(board.id)
    pid = pid_of(boards, board.id)
    boards.close()
    assert not psutil.pid_exists(pid)
    assert not target.parent.exists()


def test_what_is_asked_for_wrongly_is_a_sentence(boards: TensorBoardManager) -> None:
    with pytest.raises(InputError, match="Name the runs"):
        boards.open(BoardRequest())
    for bad in ("run-../..", "nothing-here", "run-1"):
        with pytest.raises(NotFoundError):
            boards.ensure(bad)


def test_a_board_shows_the_runs_that_were_chosen_anew(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    one, two = make_run(store, settings, "one"), make_run(store, settings, "two")
    board = boards.open(BoardRequest(run_ids=[one]))
    target = boards.ensure(board.id)
    pid = pid_of(boards, board.id)
    assert boards.choose(board.id, [one, two]).title == "2 runs"
    until(lambda: runs_shown(target) == {"one", "two"})
    assert boards.choose(board.id, [two]).title == "two"
    until(lambda: runs_shown(target) == {"two"})
    assert pid_of(boards, board.id) == pid
    with pytest.raises(InputError, match="one run at least"):
        boards.choose(board.id, [])


def test_a_process_that_was_killed_is_told_from_one_that_sleeps(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    board = boards.open(BoardRequest(run_ids=[make_run(store, settings, "a")]))
    boards.ensure(board.id)
    os.kill(pid_of(boards, board.id), signal.SIGKILL)
    until(lambda: boards.all()[0].state == "failed")
    assert "ended unexpectedly" in (boards.all()[0].message or "")
    boards.ensure(board.id)
    assert boards.all()[0].state == "running"
    boards.stop(board.id)
    assert boards.all()[0].state == "asleep"


def test_a_board_of_a_sweep_shows_its_runs_and_those_that_come(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    sweep = make_run(store, settings, "lr sweep")
    make_run(store, settings, "alone")
    make_run(store, settings, "lr=1", parent_id=sweep)
    board = boards.open(BoardRequest(sweep_id=sweep))
    assert (board.id, board.title, board.sweep_id) == (f"sweep-{sweep}", "lr sweep", sweep)
    target = boards.ensure(board.id)
    make_run(store, settings, "lr=2", parent_id=sweep)
    boards.refresh()
    until(lambda: runs_shown(target) == {"lr=1", "lr=2"})
    with pytest.raises(InputError, match="“lr sweep”"):
        boards.add(board.id, [sweep])


def test_opening_a_run_shows_it_even_where_its_board_shows_others_by_now(
    boards: TensorBoardManager, store: Store, settings: Settings
) -> None:
    one, two = make_run(store, settings, "one"), make_run(store, settings, "two")
    board = boards.open(BoardRequest(run_ids=[one]))
    boards.choose(board.id, [two])
    assert boards.open(BoardRequest(run_ids=[one])).run_ids == [two, one]


def test_boards_that_sleep_for_long_are_forgotten(boards: TensorBoardManager, store: Store, settings: Settings) -> None:
    ids = [make_run(store, settings, f"run {i}") for i in range(MAX_ASLEEP + 3)]
    for run_id in ids:
        boards.open(BoardRequest(run_ids=[run_id]))
    kept = boards.all()
    assert len(kept) == MAX_ASLEEP + 1
    assert kept[0].run_ids == [ids[-1]]


def test_a_board_holds_200_runs_at_most(boards: TensorBoardManager, store: Store) -> None:
    ids = [store.runs.submit(SubmitRequest(config={"root": "/data"})).id for _ in range(201)]
    board = boards.open(BoardRequest(run_ids=ids[:200]))
    with pytest.raises(InputError, match="200 runs at most, not 201"):
        boards.add(board.id, [ids[200]])
