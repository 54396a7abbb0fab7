"""A folder of classes without train/ trains, resumes and is measured as the same classes under train/ are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab.batch import trial_identity
from imgcls_lab.class_names import spelled
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.inference import predict
from imgcls_lab.errors import DataError
from imgcls_lab.events import RunState
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.predictions import load_predictions

from .conftest import of_type, same_files
from .test_resume import assert_same_end, stop_after

Make = Callable[..., TrainConfig]
Run = Callable[..., Outcome]


@pytest.fixture
def flat(digits: Path) -> Path:
    """The classes of train/ alone; digits/train holds the same."""
    return Path(shutil.copytree(digits / "train", digits.with_name("flat")))


def data_of(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["data"]
    return data


def test_a_flat_folder_gives_the_bits_of_the_same_classes_under_train(
    make_config: Make, digits: Path, flat: Path, tmp_path: Path
) -> None:
    shutil.rmtree(digits / "val")
    shutil.copy(flat / "digit-0/000.png", flat / "loose.png")
    train(make_config(root=str(digits)), tmp_path / "under")
    outcome = train(make_config(root=str(flat)), tmp_path / "alone")
    assert same_files(tmp_path / "under/checkpoints/last", tmp_path / "alone/checkpoints/last", "model.safetensors")
    assert data_of(tmp_path / "alone")["counts"]["val"] == {f"digit-{i}": 6 for i in range(4)}
    notes = [event.text for event in of_type(tmp_path / "alone", "notice")]
    assert any("4 folders" in note for note in notes)
    assert any("1 image lies in “flat”" in note for note in notes)
    paths = load_predictions(outcome.folder, 1)["path"]
    assert len(paths) == 24
    assert all((flat / path).is_file() for path in paths)


def test_a_flat_folder_is_resumed_to_the_same_bits(make_config: Make, flat: Path, tmp_path: Path) -> None:
    config = make_config(root=str(flat))
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(3)
    assert train(config, tmp_path / "parts", stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, tmp_path / "parts").state is RunState.SUCCEEDED
    assert_same_end(tmp_path / "whole", tmp_path / "parts")


def test_the_fingerprint_of_a_sweep_is_that_of_the_run(run: Run, flat: Path, tmp_path: Path) -> None:
    shutil.copy(flat / "digit-0/000.png", flat / "digit-0/x.jpg?w=200")
    (flat / "digit-0/clip.mp4").write_bytes(bytes(99))
    (flat / "digit-0/empty.png").touch()  # which a run cannot read
    outcome = run(root=str(flat), epochs=1)
    assert trial_identity.of_images(flat, tmp_path / "memory") == data_of(outcome.folder)["fingerprint"]


def test_a_flat_folder_is_measured_by_what_was_held_out_and_as_a_whole(make_config: Make, run: Run, flat: Path) -> None:
    outcome = run(root=str(flat), epochs=1)
    model, config = outcome.folder / "checkpoints/best", make_config(root=str(flat), epochs=1)
    assert predict.evaluate(model, flat, "val", config=config).values["metric/accuracy"] == pytest.approx(
        outcome.values["metric/accuracy"]
    )
    assert predict.evaluate(model, flat, "train").images == 120
    with pytest.raises(DataError, match="split train"):
        predict.evaluate(model, flat, "test")


@pytest.mark.usefixtures("without_heif")
def test_other_files_and_links_are_in_the_manifest_by_name(run: Run, flat: Path, tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.heic", "clip.mp4"):
        (flat / "digit-0" / name).write_bytes(bytes(99))
    shutil.copy(flat / "digit-0/000.png", flat / "digit-0/noext")
    (flat / "digit-1/loop.png").symlink_to("loop.png")
    (flat / "digit-1/far.png").symlink_to(tmp_path)
    facts = data_of(run(root=str(flat), epochs=1).folder)
    assert facts["skipped_files"] == {".heic": 2, ".mp4": 1}
    assert (facts["links_left_out"], facts["links"]) == (2, ["digit-1/far.png", "digit-1/loop.png"])
    assert (facts["train_images"] + facts["val_images"], facts["quarantined"]) == (121, {})


def test_evaluation_tells_a_class_that_only_looks_like_the_models(tiny_vit: Path, digits: Path) -> None:
    for number, name in enumerate(["ant", "bee", "cow", "dog "]):
        (digits / f"val/digit-{number}").rename(digits / "val" / name)
    with pytest.raises(DataError) as refused:
        predict.evaluate(tiny_vit, digits, "val")
    assert "blanks at an end" in str(refused.value)
    assert spelled("dog ") in str(refused.value)


def test_a_class_that_was_spelled_anew_is_told_at_a_resume(make_config: Make, digits: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (digits / split / "digit-3").rename(digits / split / "cafe\u0301")
    config = make_config(root=str(digits))
    stop, on_event = stop_after(3)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    for split in ("train", "val"):
        (digits / split / "cafe\u0301").rename(digits / split / "caf\u00e9")
    with pytest.raises(DataError, match=r"Unicode form.*cafe<U\+0301> and caf<U\+00E9>"):
        train(config, tmp_path / "run")


@pytest.mark.usefixtures("without_heif")
def test_evaluation_says_what_it_does_not_take(tiny_vit: Path, digits: Path) -> None:
    for number, name in enumerate(["ant", "bee", "cow", "dog"]):
        (digits / f"val/digit-{number}").rename(digits / "val" / name)
    (digits / "val/ant/a.heic").write_bytes(bytes(99))
    told: list[str] = []
    assert predict.evaluate(tiny_vit, digits, "val", notify=told.append).images == 40
    assert told == [inspect_folder(digits).not_taken_said]
