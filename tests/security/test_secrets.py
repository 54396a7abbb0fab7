"""No secret of the server reaches a child process: neither by /proc, nor by a log, nor by a file of a run."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import nbformat
import psutil
import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.batch.secrets import known_secrets
from imgcls_lab.child_environment import child_environment, is_secret
from imgcls_lab.errors import InputError
from imgcls_lab.events import RunState
from imgcls_lab.executor import client, run_secrets
from imgcls_lab.executor.alert_sender import _reason
from imgcls_lab.schemas import BoardRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store.backups import _password_file
from imgcls_lab.store.database import Database, parse_url
from imgcls_lab.tensorboards.manager import TensorBoardManager
from tests.api.conftest import few, own
from tests.store.postgres_server import Server

__all__ = ["few", "own"]

OF_JUPYTER = (
    "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_CRYPT_KEY", "JUPYTERHUB_COOKIE_SECRET", "JUPYTER_TOKEN", "JPY_API_TOKEN",
    "JPY_COOKIE_SECRET", "KG_AUTH_TOKEN", "JUPYTER_GATEWAY_HTTP_PWD",
    "CONFIGPROXY_AUTH_TOKEN", "OAUTH_CLIENT_SECRET", "OAUTH2_CLIENT_SECRET",
)  # fmt: skip
OF_USER = ("HF_TOKEN", "HF_HOME", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "JUPYTERHUB_USER", "JPY_PARENT_PID", "PATH")


class Watch(threading.Thread):
    """Looks at environment and command line of every descendant again and again, and remembers where a marker was."""

    def __init__(self, markers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.markers = markers
        self.seen: dict[str, str] = {}  # command lines
        self.found: set[tuple[str, str, str]] = set()  # secret, where, command line
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            for child in psutil.Process().children(recursive=True):
                self._look(child.pid)

    def _look(self, pid: int) -> None:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            texts = {"environ": Path(f"/proc/{pid}/environ").read_text(errors="replace"), "cmdline": command}
        except OSError:
            return
        if texts["environ"]:  # else it is about to become another program, or to end
            self.seen[command] = command
            for name, marker in self.markers.items():
                self.found |= {(name, where, command) for where, text in texts.items() if marker in text}

    def end(self) -> None:
        self._ended.set()
        self.join()


@contextmanager
def watched(markers: dict[str, str]) -> Iterator[Watch]:
    watch = Watch(markers)
    watch.start()
    try:
        yield watch
    finally:
        watch.end()


def files_with(folder: Path, markers: dict[str, str]) -> list[tuple[str, str]]:
    texts = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()}
    return [(str(p), name) for p, text in texts.items() for name, mark in markers.items() if mark.encode() in text]


@pytest.fixture
def markers(postgres: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every secret of a server is set to a text of its own: secret -> its text."""
    found = {name: f"marker-{number}-{name.lower()}" for number, name in enumerate(OF_JUPYTER)}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    found |= {"webhook": "marker-of-webhook", "password": "marker-of-password"}
    address = postgres.url().replace("secret-word", found["password"])
    monkeypatch.setenv("IMGCLS_DB_URL", address)
    monkeypatch.setenv("IMGCLS_WEBHOOK", f"http://127.0.0.1:9/{found['webhook']}")
    monkeypatch.setenv("HF_TOKEN", "kept-for-gated-models")
    return found


NOTEBOOK = """
import os, sys
sys.path.insert(0, os.environ.get("PYTHONPATH", ""))
import imgcls_lab as lab
texts = []
for pid in ("self", os.getppid()):
    for name in ("environ", "cmdline"):
        texts.append(open(f"/proc/{pid}/{name}", errors="replace").read())
open(out, "w").write("\\n".join(texts + [repr(dict(os.environ)), f"RUNS {len(lab.runs())}"]))
print(os.environ.get("IMGCLS_DB_URL_FILE") and open(os.environ["IMGCLS_DB_URL_FILE"]).read())
"""


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_no_process_and_no_file_of_a_run_holds_a_secret(
    warm: bool,
    markers: dict[str, str],
    own: Settings,
    few: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMGCLS_WARM_START", str(int(warm)))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    settings, out = Settings(), tmp_path / "out.txt"
    with watched(markers) as watch:
        run = lab.launch(few.with_changes(epochs=1))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(t) for t in ("out = ''", NOTEBOOK)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "python3", "language": "python"}
        notebook.cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / "n.ipynb"
        nbformat.write(notebook, path)
        batch = lab.launch_notebook(path, {"out": str(out)})
        run.wait(120)
        batch.wait(120)
        kinds = ["executor.daemon", "executor.supervisor", "imgcls_lab.engine", "notebook_runner", "ipykernel_launcher"]
        if warm:
            kinds.append("executor.forkserver")
            sweep = lab.sweep(few.with_changes(epochs=1), {"lr": [1e-3, 1e-2]}, name="two")
            sweep.wait(180)
            assert sweep.run.state is RunState.SUCCEEDED
            kinds.append("sweep_driver")
            boards = TensorBoardManager(settings, context.store())
            try:
                boards.ensure(boards.open(BoardRequest(run_ids=[run.id])).id)
            finally:
                boards.close()
            kinds.append("tensorboards.serve")
    for kind in kinds:
        assert any(kind in command for command in watch.seen), kind
    assert watch.found == set()
    told = out.read_text()
    assert [name for name, marker in markers.items() if marker in told] == []
    assert "RUNS 2" in told, "the notebook has no database"
    assert "kept-for-gated-models" in told
    assert files_with(own.home_path, markers) == []
    print(f"{len(watch.seen)} processes and the files of {own.home_path} hold none of {len(markers)} secrets")


def test_the_file_of_the_database_is_for_its_user_alone_and_goes_with_the_run(home: Path) -> None:
    settings = Settings(db_url="postgresql://lab:open-sesame@host/runs")
    settings.make_home()
    given = run_secrets.give(settings, "20260101-000000-abcdef")
    path = Path(given["IMGCLS_DB_URL_FILE"] or "")
    assert given["IMGCLS_DB_URL"] is None
    assert path.read_text() == settings.db_url
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]
    run_secrets.give(settings, "20260101-000000-fedcba")
    run_secrets.take_back_others(settings, {"20260101-000000-abcdef"})
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    run_secrets.take_back(settings, path.name)
    assert not path.exists()


def test_a_database_without_a_password_needs_no_file(home: Path) -> None:
    for url in ("sqlite:////x/y.db", "postgresql://lab@host/runs", "postgresql:///runs"):
        settings = Settings(db_url=url)
        assert (settings.secrets(), settings.environment()["IMGCLS_DB_URL"]) == ({}, url)
        assert run_secrets.give(settings, "x") == {}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://lab:p%40ss-word-1@host/runs",
        "postgresql://lab@host/runs?password=p%40ss-word-1",
        "postgresql:///runs?sslmode=require&password=p%40ss-word-1",
        "postgresql://lab@host/runs?sslpassword=p%40ss-word-1",
    ],
    ids=["place", "query", "no host", "of the key"],  # pytest writes the id into the environment
)
def test_a_password_is_a_secret_wherever_it_stands_in_the_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_DB_URL", url)
    assert Settings().secrets() == {"db_url": url}
    assert "word-1" not in json.dumps(Settings().environment())
    assert "word-1" not in json.dumps(child_environment(Settings()))
    assert "word-1" not in json.dumps([item._asdict() for item in Settings().listed()])
    if "sslpassword" not in url:
        assert parse_url(url).password == "p@ss-word-1"
        assert "word-1" not in Database(url).shown
        assert "p@ss-word-1" in [secret for _, secret in known_secrets()]


def test_libpqs_password_travels_with_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "open & sesame")
    settings = Settings(db_url="postgresql://lab@host/runs")
    assert "PGPASSWORD" not in child_environment(settings)
    assert parse_url(settings.secrets()["db_url"]).password == "open & sesame"
    assert Settings(db_url="sqlite:////x.db").secrets() == {}


def test_a_secret_can_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://lab:open-sesame@host/runs\n")
    monkeypatch.setenv("IMGCLS_DB_URL_FILE", str(file))
    assert Settings().db_url == "postgresql://lab:open-sesame@host/runs"
    assert {item.name: item.source for item in Settings().listed()}["db_url"] == "file"
    assert "IMGCLS_DB_URL_FILE" not in child_environment(Settings())
    monkeypatch.setenv("IMGCLS_DB_URL_FILE", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="IMGCLS_DB_URL_FILE"):
        _ = Settings().db_url


def test_the_list_of_secrets_takes_what_is_jupyters_and_leaves_what_is_the_users() -> None:
    secret = {"IMGCLS_DB_URL", "IMGCLS_DB_URL_FILE", "IMGCLS_WEBHOOK", "IMGCLS_WEBHOOK_FILE", "PGPASSWORD"}
    assert [name for name in (*OF_JUPYTER, *secret) if not is_secret(name)] == []
    assert [name for name in OF_USER if is_secret(name)] == []


def test_every_process_of_the_package_is_started_with_that_environment() -> None:
    """A process that inherits all variables must not be added unseen."""
    package = Path(lab.__file__).parent
    inherits = {"identity.py"}  # ps and sysctl
    # their own environment is clean, or a job's, whose launch takes the secrets out; the standard library only
    supervised = {"executor/supervisor.py", "executor/node.py", "executor/node_folder.py"}
    for path in sorted(package.rglob("*.py")):
        text, name = path.read_text(), str(path.relative_to(package))
        starts = "subprocess.Popen(" in text or "subprocess.run(" in text
        if starts and name not in inherits | supervised:
            assert "child_environment(" in text or "start_process(" in text, name
            assert "**os.environ" not in text, name


def test_pg_dump_reads_the_password_from_a_file_that_goes_again(tmp_path: Path) -> None:
    with _password_file(tmp_path, "a:b\\c") as file:
        assert file is not None
        assert file.read_text() == "*:*:*:*:a\\:b\\\\c\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_reads_its_secrets_from_its_input(home: Path) -> None:
    settings = Settings(home=str(home), db_url="postgresql://lab:open-sesame@h/r", webhook="https://h/top-secret")
    settings.make_home()
    script = (
        "import json, os; from imgcls_lab.executor.daemon import settings_of_process as of\n"
        "print(json.dumps([of().db_url, of().webhook, dict(os.environ)]))"
    )
    script = script.replace("[of().db_url, of().webhook,", "[*(lambda s: (s.db_url, s.webhook))(of()),")
    with (home / "log").open("wb") as log:
        child = client.start_process(settings, [sys.executable, "-c", script], log.fileno())
        assert child.wait(60) == 0
    db_url, webhook, environment = json.loads((home / "log").read_text())
    assert (db_url, webhook) == (settings.db_url, settings.webhook)
    assert not any("sesame" in value or "top-secret" in value for value in environment.values())


def test_a_webhook_that_is_no_address_is_in_no_log() -> None:
    import http.client
    import urllib.error

    from imgcls_lab.executor import alert_sender

    for url in (
        "https://h/top secret",
        "https://user:topsecret@h/x",
        "https://h:topsecret/x",
        "topsecret",
        "ftp://h/topsecret",
    ):
        with pytest.raises((OSError, ValueError, http.client.HTTPException)) as raised:
            alert_sender._post(url, b"{}")
        assert "secret" not in _reason(raised.value), url
    assert _reason(urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))) == "Connection refused"


def test_a_refused_connection_names_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (
        f"postgresql://lab:{quote('open sesame')}@127.0.0.1:9/runs",
        "postgresql://lab@127.0.0.1:9/runs?password=open%20sesame",
    ):
        command = [sys.executable, "-c", "from imgcls_lab.cli import main; main()", "runs"]
        environment = {**os.environ, "IMGCLS_DB_URL": url, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode != 0
        assert "sesame" not in done.stdout + done.stderr
