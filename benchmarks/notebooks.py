"""A parameterized notebook from the submit to its end: in the queue, and by papermill alone as its docs have it.

Both execute notebooks/train.ipynb, which trains the demo's digits for one epoch in its kernel and reads the results
back. papermill starts a process and a kernel with all imports each time; a run's are forked from one that has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.timing import best, in_turn, seconds
from imgcls_lab import demo_data
from imgcls_lab.batch.notebook_source import read
from imgcls_lab.batch.submit_notebook import submit_notebook
from imgcls_lab.events import RunState
from imgcls_lab.schemas import NotebookRequest
from tests.executor.stub_lab import ROOT, StubLab

TRAIN = ROOT / "notebooks" / "train.ipynb"
PARAMETERS = {"epochs": 1}


def measure(folder: Path, quick: bool) -> list[Line]:
    lab = labs.demo_lab(folder)
    try:
        demo_data.prepare(lab.settings, lab.store)
        lab.start_daemon(real=True)
        first = _queued(lab)
        found = in_turn({"queue": lambda: _queued(lab), "papermill": lambda: _alone(lab, folder)}, 2 if quick else 5)
    finally:
        lab.close()
    ours, theirs = best(found["queue"]), best(found["papermill"])
    return [
        Line("a notebook that trains, papermill's time / ours in the queue", 1, theirs / ours, "", "at least"),
        reported("the same in the queue, from the submit to the end", ours, "s"),
        reported("the same by papermill alone", theirs, "s"),
        reported("the first one of an executor, with all imports", first, "s"),
    ]


def _queued(lab: StubLab) -> float:
    """Seconds until the store says that it is over."""
    begin = time.perf_counter()
    request = NotebookRequest(path=str(TRAIN), parameters=PARAMETERS)
    run_id = submit_notebook(lab.store, read(TRAIN), request).id
    run = lab.wait(run_id, seconds=300)
    took = time.perf_counter() - begin
    if run.state != RunState.SUCCEEDED:
        raise RuntimeError(f"The notebook's run has {run.state}: {run.message}")
    return took


def _alone(lab: StubLab, folder: Path) -> float:
    parameters = [word for name, value in PARAMETERS.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", str(TRAIN), str(folder / "out.ipynb"), *parameters]
    environment = {**os.environ, **lab.settings.environment(), "PYTHONPATH": str(ROOT)}
    return seconds(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))
