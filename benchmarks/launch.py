"""From the submit to the first step: the demo's training, a real daemon, and a process with the imports done.

The first run, which brings that process up, counts for itself; each of the others is ended after its first steps.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.timing import percentile
from imgcls_lab import demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import AnyEvent, DesiredState, Metrics, Started, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store import Store
from tests.executor.stub_lab import StubLab


def measure(folder: Path, quick: bool) -> list[Line]:
    lab = labs.demo_lab(folder)
    try:
        config = demo_data.prepare(lab.settings, lab.store).config.model_copy(update={"log_every": 1, "epochs": 50})
        lab.start_daemon(real=True)
        first = _launch(lab, config)["first step"]
        launches = [_launch(lab, config) for _ in range(5 if quick else 20)]
    finally:
        lab.close()
    halves = {what: percentile([launch[what] for launch in launches], 0.5) for what in launches[0]}
    return [
        Line("from submit to the first step, p50", 1.5, halves["first step"], "s"),
        reported("the same, p95", percentile([launch["first step"] for launch in launches], 0.95), "s"),
        reported("of it, until the executor has claimed it", halves["claimed"], "s"),
        reported("of it, until its process speaks", halves["first event"], "s"),
        reported("of it, until data and model are ready", halves["started"], "s"),
        reported("the first run of an executor, with all imports", first, "s"),
    ]


def _launch(lab: StubLab, config: TrainConfig) -> dict[str, float]:
    """Seconds from the submit to each stage of a run; it is then ended."""
    begin = time.time()
    run_id = lab.store.runs.submit(SubmitRequest(config=config.model_dump(mode="json"))).id
    path = lab.settings.run_dir(run_id) / events_name(1)
    lab.until(lambda: any(isinstance(event, Metrics) for event in _events(path)), 120, lab.daemon_log)
    events = _events(path)
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    run = lab.wait(run_id)
    _free(lab.store)
    begun = run.attempts[0].started_at
    stages = {"first event": events[0].t}
    for event in reversed(events):
        if isinstance(event, Started):
            stages["started"] = event.t
        elif isinstance(event, Metrics):
            stages["first step"] = event.t
    return {"claimed": begun - begin} | {name: stamp - begin for name, stamp in stages.items()}


def _events(path: Path) -> list[AnyEvent]:
    return read_events(path)[0]


def _free(store: Store) -> None:
    """Wait until the device is free for the next run, and a moment longer."""
    while any(device.run_id for device in store.executors.status().devices):
        time.sleep(0.05)
    time.sleep(0.5)
