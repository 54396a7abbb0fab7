"""`lab.tensorboard`: the runs for the server, and a command for everywhere else."""

from __future__ import annotations

import importlib
import shlex

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.tensorboards import BOARD_TYPE, bundle_of
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.settings import Settings


def test_runs_are_named_by_handle_or_id(few: TrainConfig, idle: Settings) -> None:
    one, two = lab.launch(few, name="one"), lab.launch(few, name="two")
    assert bundle_of(one)[BOARD_TYPE] == {"run_ids": [one.id], "version": 1}
    assert bundle_of(one.id)[BOARD_TYPE]["run_ids"] == [one.id]
    assert bundle_of([one, two.id])[BOARD_TYPE]["run_ids"] == [one.id, two.id]
    assert set(bundle_of(lab.runs())[BOARD_TYPE]["run_ids"]) == {one.id, two.id}
    assert bundle_of(one, "loss/train")[BOARD_TYPE]["tag"] == "loss/train"
    with pytest.raises(NotFoundError):
        lab.tensorboard("20200101-000000-abcdef")
    with pytest.raises(InputError, match="Name the runs"):
        lab.tensorboard([])


def test_outside_a_notebook_it_prints_a_command_that_finds_the_curves(
    few: TrainConfig, idle: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab.train(few, name="here")
    capsys.readouterr()
    lab.tensorboard(run)
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert command[:2] == ["tensorboard", "--logdir"]
    assert EventAccumulator(command[2]).Reload().Scalars("loss/train")


def test_the_name_stays_a_function_when_the_server_side_is_imported() -> None:
    importlib.import_module("imgcls_lab.tensorboards.manager")
    assert callable(lab.tensorboard)
