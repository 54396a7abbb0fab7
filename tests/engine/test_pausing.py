"""A training that pauses at the ends of epochs is bit-equal to one that did not, and trains none of them twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.__main__ import main
from imgcls_lab.events import AnyEvent, EpochEnded, Finished, Started, Stopped
from imgcls_lab.pausing import PauseAfter, until_epoch, with_until_epoch
from imgcls_lab.run_layout import CONFIG, write_atomic
from tests.engine.conftest import events_of, same_files

Make = Callable[..., TrainConfig]


def all_events(folder: Path) -> list[AnyEvent]:
    return [event for attempt in range(1, 5) for event in events_of(folder, attempt)]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_pauses_at_two_rungs_ends_as_one_that_never_did(
    make_config: Make, tmp_path: Path, processes: int
) -> None:
    config = make_config(epochs=4, ema_decay=0.9, mixup=0.2, schedule="cosine", num_processes=processes)
    train(config, tmp_path / "whole")
    folder = tmp_path / "paused"
    folder.mkdir()
    write_atomic(folder / CONFIG, config.model_dump_json())
    ends = []
    for until in ("1", "1", "3", None):  # the second time it is there already, as after a kill before its last event
        assert main([str(folder), *(["--until-epoch", until] if until else [])]) == 0
        ends.append(all_events(folder)[-1])
    assert [type(event) for event in ends] == [Stopped, Stopped, Stopped, Finished]
    epochs = [event.epoch for event in all_events(folder) if isinstance(event, EpochEnded)]
    assert epochs == [1, 2, 3, 4]
    if processes == 1:  # several stop a few steps later, with a checkpoint of these
        steps = next(event.steps_per_epoch for event in all_events(folder) if isinstance(event, Started))
        assert [event.step for event in ends] == [steps, steps, 3 * steps, 4 * steps]
    for name in ("model.safetensors", "training_state.safetensors"):
        assert same_files(tmp_path / "whole/checkpoints/last", folder / "checkpoints/last", name)
    whole, paused = (
        [event.values["loss/val"] for event in all_events(place) if isinstance(event, EpochEnded)]
        for place in (tmp_path / "whole", folder)
    )
    assert whole == paused


def test_an_epoch_before_the_pause_stops_nothing() -> None:
    stop = threading.Event()
    pause = PauseAfter(3, stop)
    facts = {"total_steps": 40, "steps_per_epoch": 10, "epochs": 4, "train_images": 1, "val_images": 1, "classes": 2}
    started = Started.model_validate({**facts, "device": "cpu", "precision": "fp32", "threads": 1, "resume_step": 29})
    pause(started)
    pause(EpochEnded(step=20, epoch=2, seconds=1, values={}))
    assert not stop.is_set()
    pause(started.model_copy(update={"resume_step": 30}))
    assert stop.is_set()


@pytest.mark.parametrize("value", [0, -1, True, "3", 2.5, None])
def test_a_payload_names_an_epoch_or_none(value: object) -> None:
    assert until_epoch({"until_epoch": value}) is None
    assert until_epoch(with_until_epoch({"fork": {}}, 3)) == 3
    assert with_until_epoch({"fork": {}, "until_epoch": 3}, None) == {"fork": {}}
