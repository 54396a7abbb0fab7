"""A PostgreSQL server of its own for the tests: real binaries, a temporary folder, a free port of the loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.waiting import free_port


def binaries() -> Path | None:
    """The folder that holds `initdb` and `postgres`."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


class Server:
    """A running server with one database, which `url()` empties."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self.port = free_port()
        self._user = _other_user() if os.geteuid() == 0 else None  # as root it refuses to run
        if self._user:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "-D", "data", "-U", "lab", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = ["-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._folder), "-F"]
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command("postgres", *options), cwd=self._folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._admin(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT: fast shutdown, which cuts every connection."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def url(self) -> str:
        """The database, emptied: a new one a test would be thousands of files to write and remove."""
        with psycopg.connect(self._admin(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return f"postgresql://lab:secret-word@127.0.0.1:{self.port}/postgres"

    def _admin(self) -> str:
        return f"postgresql://lab@127.0.0.1:{self.port}/postgres"

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = ["setpriv", f"--reuid={self._user}", "--regid=nogroup", "--clear-groups"] if self._user else []
        return [*user, str(self._programs / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(self._command(program, *arguments), cwd=self._folder, check=True, capture_output=True)


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise RuntimeError("There is no user but root to run PostgreSQL as.")


@contextmanager
def running() -> Iterator[Server | None]:
    """A server for as long as the block lasts; None where PostgreSQL is not installed."""
    programs = binaries()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="imgcls-pg-"))
    folder.chmod(0o755)
    server = None
    try:
        server = Server(programs, folder)
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGQUIT)  # at once: nothing of it is needed any more
        shutil.rmtree(folder, ignore_errors=True)
