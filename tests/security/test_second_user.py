"""Two users of one machine: the second tries every socket, file, lock and process of the first, and gets nowhere.

Needs root, which becomes both users. `pytest -s` prints what was tried.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from imgcls_lab.executor.device_locks import DeviceLock, shared_folder
from tests.waiting import free_port, until

ROOT = Path(__file__).parents[2]
FIRST, SECOND = 61_101 + os.getpid() % 400 * 2, 61_102 + os.getpid() % 400 * 2  # uids that nobody has
TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run"), Path("/run/lock"))
SECRET = "hook-" + secrets.token_hex(8)
TOKEN = secrets.token_hex(16)
GPUS = [f"GPU-{secrets.token_hex(6)}" for _ in range(2)]

# A daemon that sees two GPUs; beside that it is the product's.
DAEMON = f"""
import sys
from types import SimpleNamespace
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon, main
from imgcls_lab.executor.devices import Device
from imgcls_lab.settings import Settings

gpus = [Device(f"cuda:{{n}}", n, f"GPU {{n}}", "cuda", uuid) for n, uuid in enumerate({GPUS!r})]
settings = Settings()
backend = LocalBackend(settings, probe=SimpleNamespace(read=lambda: gpus))
sys.exit(main(Daemon(settings, backend=backend)))
"""


def _for_all(path: str) -> bool:
    """Whether every user can run a program, or read a folder."""
    real = Path(path).resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (Path(path).parent, real, *real.parents))


# Where other users cannot read this Python, the first user may read all files of the machine. The second never may.
READS_ALL = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if not _for_all(sys.executable) else []
PYTHONS = [path for path in (sys.executable, "/usr/bin/python3") if Path(path).exists() and _for_all(path)]

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become two users"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) makes root another user"),
    pytest.mark.skipif(not PYTHONS, reason="no Python here can be run by every user"),
]


class FirstUser:
    """A user with a Jupyter server, a daemon, a run and a TensorBoard. umask 0: nothing may depend on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "first"
        self.home.mkdir(mode=0o755)
        os.chown(self.home, FIRST, FIRST)
        self.started: list[subprocess.Popen[bytes]] = []
        self.port = free_port()

    def start(self, *words: str) -> None:
        environment = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT),
            "IMGCLS_HOME": str(self.home / "lab"), "JUPYTER_TOKEN": TOKEN,
            "IMGCLS_WEBHOOK": f"http://127.0.0.1:9/{SECRET}", "IMGCLS_AUTOSTART": "0",
            "IMGCLS_POLL_INTERVAL": "0.1", "IMGCLS_STOP_GRACE": "5",
        }  # fmt: skip
        become = ["setpriv", f"--reuid={FIRST}", f"--regid={FIRST}", "--clear-groups", *READS_ALL]
        with (self.folder / "first.log").open("ab") as log:
            self.started.append(
                subprocess.Popen(
                    [*become, sys.executable, *words], umask=0, env=environment, cwd=self.home,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            )  # fmt: skip

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        address = f"http://127.0.0.1:{self.port}/imgcls/{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(address, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            error.msg += f": {error.read()[-500:]!r}"
            raise
        return json.loads(text) if "json" in (reply.headers["Content-Type"] or "") else text

    def answers(self) -> bool:
        self.must_live()
        try:
            return bool(self.ask("GET", "api/info"))
        except OSError:
            return False

    def must_live(self) -> None:
        assert not any(popen.poll() for popen in self.started), (self.folder / "first.log").read_text()[-3000:]

    def run(self, run_id: str) -> Any:
        self.must_live()
        return self.ask("GET", f"api/runs/{run_id}")

    def launch(self, config: dict[str, Any]) -> str:
        return str(self.ask("POST", "api/runs", {"config": config})["id"])

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.uids().real == FIRST and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def end(self) -> None:
        for _ in range(50):
            left = self.processes()
            for process in left:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            for popen in self.started:
                popen.poll()
            if not left:
                return
            time.sleep(0.1)

    def targets(self) -> dict[str, list[str]]:
        """All that this user has of the product and in the places that users share: files, sockets, processes."""
        found: dict[str, list[str]] = {"file": [], "folder": [], "socket": [], "lock": [], "process": []}
        places = [self.home / "lab", *(path for place in TEMPORARY for path in place.iterdir() if path != self.folder)]
        for place in places:
            self._add(found, place)
        found["process"] = [str(process.pid) for process in self.processes()]
        return found

    def _add(self, found: dict[str, list[str]], path: Path) -> None:
        try:
            facts = path.lstat()
        except FileNotFoundError:
            return
        if facts.st_uid != FIRST:
            return
        lock = path.name.startswith("imgcls-lab-") and path.suffix == ".lock" and path.parent == shared_folder("")
        kind = "lock" if lock else "folder" if stat.S_ISDIR(facts.st_mode) else "file"
        kind = "socket" if stat.S_ISSOCK(facts.st_mode) else kind
        found[kind].append(str(path))
        if kind == "folder":
            pictures = 0
            for child in path.iterdir():
                pictures += child.suffix == ".png"
                if child.suffix != ".png" or pictures < 2:
                    self._add(found, child)


@pytest.fixture(scope="module")
def first() -> Iterator[FirstUser]:
    folder = Path(tempfile.mkdtemp(prefix="two-users-", dir="/tmp"))
    folder.chmod(0o755)
    user = FirstUser(folder)
    try:
        user.start("-m", "jupyter_server", f"--port={user.port}", "--port-retries=0", "--ip=127.0.0.1")
        until(user.answers, 60)
        user.ask("POST", "api/demo")  # it makes the database, too
        user.start("-c", DAEMON)
        yield user
    finally:
        user.end()
        for place in (*TEMPORARY, Path("/tmp")):
            for path in place.iterdir():
                if path.lstat().st_uid in (FIRST, SECOND):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def config(first: FirstUser) -> dict[str, Any]:
    values: dict[str, Any] = first.ask("GET", "api/configs/schema")["start"]
    return values | {"epochs": 500, "warmup_epochs": 1, "threads": 1, "num_workers": 0}


def as_second(code: str, **given: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHONS[0], "-c", code], input=json.dumps(given), user=SECOND, group=SECOND, extra_groups=[],
        capture_output=True, text=True, timeout=120, check=False, env={"PATH": os.environ["PATH"]}, cwd="/",
    )  # fmt: skip


def attack(targets: dict[str, list[str]]) -> list[tuple[str, str, str | None]]:
    code = Path(__file__).with_name("second_user.py").read_text()
    done = as_second(code, **targets)
    assert done.returncode == 0, done.stderr
    return [(what, target, error) for what, target, error in json.loads(done.stdout)]


def loose_files(folder: Path) -> list[str]:
    """Files in a home that others could use if the home were open. The first user's umask is 0.

    Images are left out: the folder of a data set is closed.
    """
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            facts = path.lstat()
            image = path.is_relative_to(folder / "datasets" / "digits") and path.name != "digits"
            if not stat.S_ISLNK(facts.st_mode) and facts.st_mode & 0o077 and not image:
                found.append(f"{stat.filemode(facts.st_mode)} {path.relative_to(folder)}")
    return found


def test_a_second_user_gets_at_nothing_of_the_first(first: FirstUser, config: dict[str, Any]) -> None:
    began = time.monotonic()
    run_id = first.launch(config)
    board = first.ask("POST", "api/tensorboards", {"run_ids": [run_id]})["id"]
    page = f"tensorboard/{board}/"
    assert b"TensorBoard" in first.ask("GET", page)
    until(lambda: (first.run(run_id)["step"] or 0) > 2, 90, lambda: str(first.run(run_id)))
    targets = first.targets()
    assert {kind for kind, names in targets.items() if names} == set(targets), "all kinds are there to be tried"
    assert len(targets["socket"]) >= 2, "the fork server and the TensorBoard"
    tried = attack(targets)

    print(f"\n{len(tried)} attempts of uid {SECOND} on what uid {FIRST} has ({time.monotonic() - began:.0f} s):")
    for (what, error), count in sorted(Counter((what, error) for what, _, error in tried).items(), key=str):
        print(f"  {what:45} {count:5} × {error or 'SUCCEEDED'}")
    gained = [(what, target) for what, target, error in tried if error is None]
    print(f"  succeeded: {len(gained)} (target: 0)")
    assert gained == []
    assert loose_files(first.home / "lab") == []

    words = b" ".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in targets["process"] if _lives(pid))
    assert SECRET.encode() not in words, "what everybody reads of a process holds no secret"
    assert TOKEN.encode() not in words
    ports = {c.laddr.port for p in first.processes() for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert ports == {first.port}
    with pytest.raises(urllib.error.HTTPError) as refused:
        first.ask("GET", "api/runs", token="wrong")
    assert refused.value.code in (401, 403)

    assert b"TensorBoard" in first.ask("GET", page)
    assert first.run(run_id)["state"] == "running"
    first.ask("POST", f"api/runs/{run_id}/kill")
    until(lambda: first.run(run_id)["state"] in ("stopped", "cancelled", "failed"), 30)


def test_what_a_second_user_puts_among_the_locks_is_in_nobodys_way_and_who_holds_one_is_named(
    first: FirstUser, config: dict[str, Any]
) -> None:
    locks = [DeviceLock(shared_folder(""), uuid) for uuid in GPUS]
    planted = as_second(
        """
import json, os, socket, sys
for prefix in json.load(sys.stdin)["prefixes"]:
    os.mkfifo(prefix + "0000000000000000.lock")
    os.mkdir(prefix + "0000000000000001.lock")
    os.symlink("/etc/passwd", prefix + "0000000000000002.lock")
    socket.socket(socket.AF_UNIX).bind(prefix + "0000000000000003.lock")
    os.mkfifo(prefix + "lock")
""",
        prefixes=[str(lock.folder / lock._prefix) for lock in locks],
    )
    assert planted.returncode == 0, planted.stderr
    held = []
    for lock in locks:  # a program of the second user, which is no run, holds both GPUs
        path = lock.folder / f"{lock._prefix}held.lock"
        path.touch()
        os.chown(path, SECOND, SECOND)
        words = f"import fcntl, time; f = open({str(path)!r}); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(300)"
        held.append(subprocess.Popen([PYTHONS[0], "-c", words], user=SECOND, group=SECOND, extra_groups=[]))
        until(lambda lock=lock: lock.holder() is not None)
    try:
        run_id = first.launch(config | {"epochs": 1})
        until(lambda: str(SECOND) in (first.run(run_id)["message"] or ""), 30, lambda: str(first.run(run_id)))
        message = first.run(run_id)["message"]
        print(f"\nthe waiting run says: {message}")
        assert any(str(process.pid) in message for process in held)
    finally:
        for process in held:
            process.kill()
            process.wait()
    until(lambda: first.run(run_id)["state"] == "succeeded", 60, lambda: str(first.run(run_id)))
    assert first.run(run_id)["attempts"][0]["devices"] in (["cuda:0"], ["cuda:1"])


def _lives(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()
