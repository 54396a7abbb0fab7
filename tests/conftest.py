"""What all tests share: a home of their own, and the rule that CI has no excuse."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

# before torch and numpy are imported, here and in the processes of the tests: several workers share two cores, and a
# thread of OpenMP that spins until its fellow gets one computes three to eight times as long as one that sleeps
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from imgcls_lab import images
from imgcls_lab.inference_client import InferenceClient
from imgcls_lab.settings import Settings
from imgcls_lab.store import migrations
from tests.store import migrated_copy, postgres_server

DURATIONS = Path(__file__).parents[1] / ".make" / "durations.json"
SLOWEST = 12


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which test files took longest, and keep the seconds of each whole file for `make check`."""
    took: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took[report.nodeid.split("::")[0]] += report.duration  # type: ignore[assignment]
    if hasattr(config, "workerinput") or len(took) < 2:
        return
    terminalreporter.section("slowest test files")
    for name, seconds in took.most_common(SLOWEST):
        terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
    option = config.option
    whole = "not slow" in option.markexpr and not (
        option.keyword or option.maxfail or any("::" in a for a in config.args)
    )
    if whole and DURATIONS.parent.is_dir():
        kept = json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {}
        kept |= {name: round(seconds, 1) for name, seconds in took.items()}
        DURATIONS.write_text(json.dumps(kept, indent=1))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """IMGCLS_HOME in a temporary folder, and no other setting from the caller's environment."""
    for name in list(os.environ):
        if name.startswith("IMGCLS_") or name == "DATASETS_DIR":
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("IMGCLS_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where executed notebooks are signed: in a data directory of Jupyter that is not the user's own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter" / "nbsignatures.db"


@pytest.fixture(scope="session", autouse=True)
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All revisions of the database are applied once a worker; most tests have a home of their own."""
    with pytest.MonkeyPatch.context() as patch:
        template = tmp_path_factory.mktemp("migrated") / "imgcls.db"
        patch.setattr(migrations, "_upgrade", migrated_copy.copying(migrations._upgrade, template))
        yield


@pytest.fixture
def inference_client(home: Path) -> Iterator[InferenceClient]:
    """Of a home of its own; its process is started by the first question, and ended with the test."""
    settings = Settings()
    settings.make_home()
    client = InferenceClient(settings)
    yield client
    client.close()


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pillow-heif were not installed."""
    monkeypatch.setattr(images, "IMAGE_SUFFIXES", images.IMAGE_SUFFIXES - images.HEIF_SUFFIXES)
    monkeypatch.setattr(images, "FORMATS", tuple(name for name in images.FORMATS if name != "HEIF"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A real PostgreSQL, one for all tests of a worker. Each `url()` is that of an empty database."""
    with postgres_server.running() as server:
        if server is None:
            missing("PostgreSQL")
        yield server


def missing(what: str) -> NoReturn:
    """Skip for want of a program; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and in CI that is a failure.")
    pytest.skip(f"{what} is missing; `make system` installs it.")
