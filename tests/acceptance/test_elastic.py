"""A run that goes on with another number of processes: every image of every epoch once, in the same order of batches.

Counted from the logs that each process writes of its images. Printed is how far losses and weights are from those of a
run that always had four processes: the sums of gradients are rounded in another order, batch norm sees other parts of
a batch, and dropout draws other numbers. Augmentation and mixing depend on image and epoch alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.distributed.nodes import Node
from imgcls_lab.engine.reporting.index_log import trained_images
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import Event, Metrics, RunState, read_events
from imgcls_lab.run_layout import event_files
from imgcls_lab.schemas import SubmitRequest
from tests.engine.conftest import same_files

sys.path.insert(0, str(Path(__file__).parents[1] / "executor"))

from stub_lab import StubLab

Make = Callable[..., TrainConfig]
IMAGES, EPOCHS = list(range(120)), 3


def stop_at(step: int) -> tuple[threading.Event, Callable[[Event], None]]:
    stop = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= step:
            stop.set()

    return stop, on_event


def losses(folder: Path) -> dict[int, float]:
    """Loss of each step, of the last attempt that reached it."""
    events = [event for path in event_files(folder) for event in read_events(path)[0]]
    return {event.step: event.values["loss/train"] for event in events if isinstance(event, Metrics)}


def furthest(one: Path, other: Path) -> tuple[float, float]:
    """Of the weights, and of the losses of the steps."""
    first, second = (load_file(folder / "checkpoints/last/model.safetensors") for folder in (one, other))
    before, after = losses(one), losses(other)
    assert before.keys() == after.keys(), "each step has its point"
    weights = max(float((first[name].float() - second[name].float()).abs().max()) for name in first)
    return weights, max(abs(before[step] - after[step]) for step in before)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("what", "changes", "target"),
    [
        ("nothing random in the model", {}, 1e-3),
        ("MixUp and CutMix", {"mixup": 0.2, "cutmix": 0.5}, 1e-3),
        ("batch norm", {"model_flavour": "tiny_model"}, None),
        ("dropout", {"model_flavour": "tiny_vit", "load_pretrained": True}, None),
    ],
)
def test_four_then_two_then_three_processes_lose_and_double_no_image(
    what: str,
    changes: dict[str, Any],
    target: float | None,
    shared: Make,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    if "model_flavour" in changes:
        changes = {**changes, "model_flavour": str(request.getfixturevalue(changes["model_flavour"]))}
    given = {"num_processes": 4, "min_processes": 2, "batch_size": 9, "epochs": EPOCHS, "log_indices": True, **changes}
    config = shared(gradient_accumulation_steps=1, **given)
    steps, folder = 13 * EPOCHS, tmp_path / "parts"
    whole = train(config, tmp_path / "whole")
    stops = []
    for processes, until in ((4, 5), (2, 18), (3, steps)):
        stop, on_event = stop_at(until)
        stops.append(train(config, folder, stop=stop, on_event=on_event, node=Node(processes=processes)).step)
    for run in (folder, whole.folder):
        assert {epoch: sorted(images) for epoch, images in trained_images(run).items()} == dict.fromkeys(
            range(EPOCHS), IMAGES
        )
    attempts = json.loads((folder / "manifest.json").read_text())["attempts"]
    assert [attempt["processes"] for attempt in attempts] == [4, 2, 3]
    weights, loss = furthest(folder, whole.folder)
    count = f"{EPOCHS * len(IMAGES)} of {EPOCHS * len(IMAGES)} images once an epoch; stopped at {stops[:-1]} of {steps}"
    print(f"\n4 -> 2 -> 3 processes, {what}: {count}; weights differ by {weights:.1e}, losses by {loss:.1e}"
          + (f" (target: {target:.0e} each)" if target else ""))  # fmt: skip
    if target is not None:
        assert max(weights, loss) < target


@pytest.mark.slow
def test_fewer_processes_need_leave(shared: Make, tmp_path: Path) -> None:
    config = shared(epochs=1)
    stop, on_event = stop_at(1)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    with pytest.raises(ConfigError, match="min_processes to 1"):
        train(config, tmp_path / "run", node=Node(processes=1))
    allowed = config.resumed_with({"min_processes": 1}, tmp_path / "run")
    assert train(allowed, tmp_path / "run", node=Node(processes=1)).state is RunState.SUCCEEDED


@pytest.fixture
def lab(home: Path) -> Iterator[StubLab]:
    lab = StubLab(home, cpu_slots=1)
    yield lab
    lab.close()


def reached(lab: StubLab, run_id: str, attempt: int, step: int) -> bool:
    run = lab.run(run_id)
    return run.attempt == attempt and run.step >= step


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_process_queues_the_run_again_by_itself(
    lab: StubLab,
    shared: Make,
    tmp_path: Path,
) -> None:
    config = shared(epochs=60, checkpoint_every_minutes=1e-4, log_indices=True)
    lab.start_daemon(real=True)
    run_id = lab.store.runs.submit(SubmitRequest(config=config.model_dump(mode="json"))).id
    for attempt, step in ((1, 20), (2, 60)):
        lab.until(lambda at=(attempt, step): reached(lab, run_id, *at), 400, lab.daemon_log)
        ranks = [pid for pid in lab.processes_of(run_id) if psutil.Process(pid).environ().get("RANK") == "1"]
        os.kill(ranks[0], signal.SIGKILL)
    run = lab.wait(run_id, seconds=600)
    assert (run.state, [attempt.state for attempt in run.attempts]) == (
        RunState.SUCCEEDED, [RunState.LOST, RunState.LOST, RunState.SUCCEEDED]
    ), run.message  # fmt: skip
    assert "SIGKILL" in (run.attempts[0].message or "")
    lab.until(lambda: not lab.processes_of(run_id))
    folder = lab.settings.run_dir(run_id)
    whole = train(config, tmp_path / "whole")
    assert same_files(folder / "checkpoints/last", whole.folder / "checkpoints/last", "model.safetensors")
    assert {epoch: sorted(images) for epoch, images in trained_images(folder).items()} == dict.fromkeys(
        range(60), IMAGES
    )
    print("\na process killed twice: queued again by itself, weights bit-equal, each image once an epoch")
