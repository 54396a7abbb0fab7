"""Which folders are safe, where sockets lie, and that none is used after somebody changed it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import private_folder, private_sockets
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.private_folder import RuntimeFolder
from imgcls_lab.settings import Settings

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
OTHER = 61234


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is as short as those of real homes are."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def no_runtime_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def reason_of(folder: Path) -> str | None:
    try:
        private_folder.require_private(folder)
    except UnsafeFolderError as error:
        return error.reason
    return None


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# ── what is private ─────────────────────────────────────────────────────────────────────────────────────────────
def test_a_folder_of_mine_alone_is_private(tmp_path: Path, umask: int) -> None:
    private_folder.make(tmp_path / "a" / "b" / "c")
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert reason_of(tmp_path / "a/b/c") is None


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o770, 0o702, 0o777, 0o1777])
def test_a_folder_that_is_open_is_not(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    assert reason_of(tmp_path / "a") == "mode"


def test_a_link_a_file_and_nothing_are_no_folder(tmp_path: Path) -> None:
    private_folder.make(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    reasons = [reason_of(tmp_path / name) for name in ("link", "file", "fifo", "nothing")]
    assert reasons == ["no_folder", "no_folder", "no_folder", "gone"]


@root_only
def test_a_folder_of_another_user_is_not_private(tmp_path: Path) -> None:
    private_folder.make(tmp_path / "a")
    os.chown(tmp_path / "a", OTHER, OTHER)
    assert reason_of(tmp_path / "a") == "owner"


@pytest.mark.parametrize(("mode", "safe"), [(0o755, True), (0o1777, True), (0o777, False), (0o775, False)])
def test_a_folder_is_as_safe_as_those_above_it(tmp_path: Path, mode: int, safe: bool) -> None:
    private_folder.make(tmp_path / "above" / "a" / "b")
    (tmp_path / "above").chmod(mode)
    if mode == 0o775 and os.getuid() == 0:
        os.chown(tmp_path / "above", 0, OTHER)
    assert reason_of(tmp_path / "above/a/b") == (None if safe else "replaceable")
    if not safe:
        (found,) = private_folder.weaknesses(tmp_path / "above/a/b")
        assert found.folder == tmp_path / "above"
        assert found.anybody is (mode == 0o777)


@root_only
def test_the_owner_of_a_folder_above_and_of_a_link_on_the_way_can_replace_it(tmp_path: Path) -> None:
    private_folder.make(tmp_path / "above" / "a")
    os.chown(tmp_path / "above", OTHER, OTHER)
    assert reason_of(tmp_path / "above" / "a") == "replaceable"
    private_folder.make(tmp_path / "mine" / "a")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared" / "link").symlink_to("../mine")
    assert reason_of(tmp_path / "shared" / "link" / "a") is None
    os.chown(tmp_path / "shared" / "link", OTHER, OTHER, follow_symlinks=False)
    assert reason_of(tmp_path / "shared" / "link" / "a") == "replaceable"


def test_links_that_lead_in_a_circle_end_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert reason_of(tmp_path / "a" / "c") == "gone"


# ── the home ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_home_is_made_for_its_user_alone_whatever_the_umask_is(umask: int, home: Path) -> None:
    settings = Settings(home=str(home / "deep" / "home"))
    settings.make_home()
    made = [home, home / "deep", settings.home_path, settings.runs_dir, settings.executor_dir, settings.models_dir]
    assert {mode_of(path) for path in made} == {0o700}


@pytest.mark.parametrize("mode", [0o777, 0o722, 0o1777, 0o770])
def test_a_home_that_others_can_write_is_refused(home: Path, mode: int) -> None:
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, 0, OTHER)
    home.chmod(mode)
    with pytest.raises(UnsafeFolderError) as refused:
        Settings().make_home()
    assert refused.value.reason == "mode"
    assert f"chmod 700 {home}" in str(refused.value)
    assert list(home.iterdir()) == []


def test_a_home_that_others_can_only_read_is_used(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    Settings().make_home()


def test_a_home_that_every_user_can_replace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir()
    (tmp_path / "above").chmod(0o777)
    with pytest.raises(UnsafeFolderError) as refused:
        Settings(home=str(tmp_path / "above" / "home")).make_home()
    assert refused.value.reason == "replaceable"


@root_only
def test_a_home_of_another_user_is_refused(home: Path) -> None:
    home.mkdir(mode=0o700)
    os.chown(home, OTHER, OTHER)
    with pytest.raises(UnsafeFolderError) as refused:
        Settings().make_home()
    assert refused.value.reason == "owner"


# ── where sockets lie ───────────────────────────────────────────────────────────────────────────────────────────
def test_sockets_lie_in_the_runtime_directory_of_the_user(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = short / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    folder = RuntimeFolder(short / "home", "tb").ready()
    assert folder.parent == runtime / "imgcls-lab"
    assert reason_of(folder) is None


@pytest.mark.parametrize("spoil", ["open", "link", "absent", "relative", "of another"])
def test_a_runtime_directory_that_is_not_ours_is_not_used(
    short: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    runtime = short / "runtime"
    runtime.mkdir(mode=0o700)
    given = runtime
    if spoil == "open":
        runtime.chmod(0o755)
    elif spoil == "link":
        given = short / "link"
        given.symlink_to(runtime)
    elif spoil == "absent":
        runtime.rmdir()
    elif spoil == "relative":
        monkeypatch.chdir(short)
        given = Path("runtime")
    elif os.getuid() == 0:
        os.chown(runtime, OTHER, OTHER)
    else:
        pytest.skip("only root can give a folder to another user")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(given))
    assert RuntimeFolder(short / "home", "tb").ready().parent == short / "home" / "run"


def test_a_home_of_200_characters_has_sockets_too(tmp_path: Path) -> None:
    home = tmp_path / ("h" * 100) / ("o" * 100)
    folder = RuntimeFolder(home, "tb")
    path = folder.socket("a.sock")
    assert reason_of(path.parent) is None
    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with listener, client:
        private_sockets.bind(listener, path)
        listener.listen()
        private_sockets.connect(client, path)
    folder.remove()
    assert not path.parent.exists()


def test_a_file_system_that_can_hold_no_socket_is_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = private_folder._try_socket

    def try_socket(path: Path) -> None:
        if path.is_relative_to(short):
            raise PermissionError(1, "Operation not permitted", str(path))
        really(path)

    monkeypatch.setattr(private_folder, "_try_socket", try_socket)
    folder = RuntimeFolder(short / "home", "tb")
    assert folder.ready().parent == Path("/tmp")
    assert list((short / "home" / "run").iterdir()) == []
    folder.remove()


def test_a_folder_that_is_gone_or_was_swapped_is_not_used_again(short: Path) -> None:
    folder = RuntimeFolder(short / "home", "tb")
    first = folder.ready()
    assert folder.ready() == first
    first.rename(short / "moved")
    first.mkdir()
    first.chmod(0o777)  # what another user would put there
    second = folder.ready()
    assert second != first
    second.chmod(0o755)
    assert folder.ready() not in (first, second)


def test_no_safe_place_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(private_folder, "_SHARED", tmp_path / "open")
    with pytest.raises(UnsafeFolderError) as refused:
        RuntimeFolder(tmp_path / "open" / "home", "tb").ready()
    assert refused.value.reason == "no_place"


def test_folders_of_dead_processes_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    dead = ProcessIdentity.of(child.pid)
    child.kill()
    child.wait()
    assert dead is not None
    for name, owner in (("dead", dead), ("live", ProcessIdentity.current()), ("none", None)):
        (tmp_path / f"imgcls-tb-{name}0000").mkdir(mode=0o700)
        if owner is not None:
            (tmp_path / f"imgcls-tb-{name}0000" / "owner.json").write_text(owner.to_json())
    (tmp_path / "imgcls-tb-fifo0000").mkdir()
    os.mkfifo(tmp_path / "imgcls-tb-fifo0000" / "owner.json")
    (tmp_path / "imgcls-db-other000").mkdir()  # another program's, whose name looks alike
    os.utime(tmp_path / "imgcls-db-other000", (0, 0))
    (tmp_path / "imgcls-tb-link0000").symlink_to("imgcls-tb-dead0000")
    (tmp_path / "imgcls-other").mkdir()
    (tmp_path / "imgcls-tb-mine0000").mkdir()  # somebody's own, with the traces of a dead process in it
    (tmp_path / "imgcls-tb-mine0000" / "owner.json").write_text(dead.to_json())
    (tmp_path / "imgcls-tb-mine0000" / "thesis.txt").touch()
    (tmp_path / "imgcls-tb-empty0000").mkdir()
    os.utime(tmp_path / "imgcls-tb-empty0000", (0, 0))
    if os.getuid() == 0:
        (tmp_path / "imgcls-tb-user0000").mkdir()
        (tmp_path / "imgcls-tb-user0000" / "owner.json").write_text(dead.to_json())
        os.chown(tmp_path / "imgcls-tb-user0000", OTHER, OTHER)
    before = {path.name for path in tmp_path.iterdir()}
    private_folder.remove_stale(tmp_path)
    assert before - {path.name for path in tmp_path.iterdir()} == {"imgcls-tb-dead0000"}


# ── sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_socket_is_0600_from_its_first_moment_whatever_the_umask_is(umask: int, home: Path) -> None:
    path = RuntimeFolder(home, "tb").socket("a")
    with socket.socket(socket.AF_UNIX) as listener:
        private_sockets.bind(listener, path)
        assert mode_of(path) == 0o600


def test_nothing_is_bound_in_an_open_folder(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(UnsafeFolderError):
        private_sockets.bind(listener, tmp_path / "open" / "a")


@pytest.mark.parametrize("kind", ["file", "fifo", "link"])
def test_what_is_no_socket_is_not_connected_to(home: Path, kind: str) -> None:
    folder = RuntimeFolder(home, "tb").ready()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        private_sockets.bind(listener, folder / "real")
        listener.listen()
        if kind == "link":
            (folder / "a").symlink_to("real")
        elif kind == "fifo":
            os.mkfifo(folder / "a")
        else:
            (folder / "a").touch()
        with pytest.raises(UnsafeFolderError) as refused:
            private_sockets.connect(client, folder / "a")
    assert refused.value.reason == "socket"


@root_only
def test_a_process_of_another_user_at_the_other_end_is_refused(home: Path) -> None:
    path = RuntimeFolder(home, "tb").socket("a")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        private_sockets.bind(listener, path)
        child = os.fork()
        if child == 0:  # the credentials of a listener are those of whoever called listen()
            os.setuid(OTHER)
            listener.listen()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(UnsafeFolderError) as refused:
            private_sockets.connect(client, path)
    assert refused.value.reason == "peer"
