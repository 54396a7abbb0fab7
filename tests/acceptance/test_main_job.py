"""The main job without a browser, as a new user meets it: `imgcls-lab demo`, and what plain transformers makes of it.

The browser's half stands in tests/browser; both print what they reached.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab.api import context
from imgcls_lab.cli.demo import recognised
from imgcls_lab.events import Finished, RunState, Started, read_events
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings

COMMAND = [sys.executable, "-c", "from imgcls_lab.cli import main; main()"]


@pytest.fixture
def own(home: Path) -> Iterator[Settings]:
    settings = Settings()
    yield settings
    client.stop(settings, stop_runs=True)
    context.close()


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def test_the_demo_trains_digits_above_95_percent_and_plain_transformers_agrees(own: Settings) -> None:
    began = time.monotonic()
    done = subprocess.run([*COMMAND, "demo"], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    whole = time.monotonic() - began
    run = lab.runs()[0]
    assert (run.state, run.view.external) == (RunState.SUCCEEDED, False)
    events, _ = read_events(run.folder / "events-001.jsonl")
    start = next(event.t for event in events if isinstance(event, Started))
    end = next(event.t for event in events if isinstance(event, Finished))
    best = run.view.best
    assert best is not None
    show("digits, validation accuracy", f"{best.value:.1%}", "95 %")
    show("training", f"{end - start:.0f} s of {whole:.0f} s in all", "under 120 s")
    assert best.value >= 0.95
    assert end - start < 120

    right, total = recognised(run.best_checkpoint, Path(run.config.root) / "val")
    show("the same by transformers' pipeline", f"{right / total:.4f}", f"{best.value:.4f}, as the run reported")
    assert right / total == pytest.approx(best.value, abs=1e-9)
    assert "best validation accuracy" in done.stdout
    assert "of 269 test digits right" in done.stdout
    assert f"imgcls-lab show {run.id}" in done.stdout
    assert "epoch   1" in done.stderr


def test_importing_the_package_brings_no_torch_along() -> None:
    code = "import imgcls_lab, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
