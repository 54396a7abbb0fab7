"""The best model on test/, at the end of a run: reported once, exactly, and without influence on anything."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.evaluation.tta import log_probs, tta_input_spec
from imgcls_lab.engine.inference import predict
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.events import Event, Phase, RunState, Started
from imgcls_lab.predictions import load_predictions
from imgcls_lab.store.run_files import read_report

from .conftest import events_of, of_type, same_files


@pytest.fixture
def tested(digits: Path) -> Path:
    """Digits whose last ten training images of each class are test/."""
    for folder in (digits / "train").iterdir():
        (digits / "test" / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[-10:]:
            path.rename(digits / "test" / folder.name / path.name)
    return digits


def test_the_best_model_is_measured_on_test(run: Callable[..., Outcome], tested: Path) -> None:
    outcome = run(root=str(tested), epochs=3)
    report = read_report(outcome.folder, None, "test")
    assert (report.split, report.images) == ("test", 40)
    again = predict.evaluate(outcome.folder / "checkpoints/best", tested, "test")
    assert again.values == pytest.approx(report.values, rel=1e-6)
    assert outcome.values["test/accuracy"] == report.values["metric/accuracy"]
    assert outcome.values["test/loss"] == report.values["loss/test"]
    finished = events_of(outcome.folder)[-1]
    assert finished.values == outcome.values
    assert finished.test_values["test/accuracy"] == outcome.values["test/accuracy"]
    assert load_predictions(outcome.folder, "test")["correct"].mean() == outcome.values["test/accuracy"]
    assert read_report(outcome.folder, None).split == "val"


def test_test_images_change_nothing_else(run: Callable[..., Outcome], tested: Path, tmp_path: Path) -> None:
    one = run("with", root=str(tested))
    shutil.rmtree(tested / "test")
    other = run("without", root=str(tested))
    for name in ("model.safetensors", "training_state.safetensors"):
        assert same_files(one.folder / "checkpoints/last", other.folder / "checkpoints/last", name), name
    assert not any(tag.startswith("test/") for tag in other.values)
    assert {tag: value for tag, value in one.values.items() if not tag.startswith("test/")} == other.values


def test_a_run_stopped_in_its_test_goes_on_to_the_same_figures(
    make_config: Callable[..., TrainConfig], run: Callable[..., Outcome], tested: Path, tmp_path: Path
) -> None:
    config, stop = make_config(root=str(tested)), threading.Event()

    def stop_in_test(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "testing the best model":
            stop.set()

    first = train(config, tmp_path / "stopped", stop=stop, on_event=stop_in_test)
    assert first.state is RunState.STOPPED
    resumed = train(config, tmp_path / "stopped")
    assert resumed.state is RunState.SUCCEEDED
    assert resumed.values == run(root=str(tested)).values
    assert not of_type(tmp_path / "stopped", "metrics", attempt=2), "no step is trained again"


def test_an_unreadable_test_image_is_left_out_and_named(run: Callable[..., Outcome], tested: Path) -> None:
    broken = sorted((tested / "test/digit-1").iterdir())[0]
    broken.write_bytes(b"no image")
    outcome = run(root=str(tested), epochs=1)
    report = read_report(outcome.folder, None, "test")
    assert report.images == 39
    assert list(report.left_out) == [f"test/digit-1/{broken.name}"]


def test_a_test_that_cannot_be_done_fails_no_run(
    make_config: Callable[..., TrainConfig], tested: Path, tmp_path: Path
) -> None:
    def break_images(event: Event) -> None:
        if isinstance(event, Started):
            for path in (tested / "test").rglob("*.png"):
                path.write_bytes(b"no image any more")

    outcome = train(make_config(root=str(tested), epochs=1), tmp_path / "run", on_event=break_images)
    assert outcome.state is RunState.SUCCEEDED
    assert not any(tag.startswith("test/") for tag in outcome.values)
    assert any("evaluated on test/" in event.text for event in of_type(outcome.folder, "notice"))


@pytest.mark.parametrize("tta", ["hflip", "five_crop"])
def test_views_are_averaged_on_test_and_not_in_validation(run: Callable[..., Outcome], tested: Path, tta: str) -> None:
    plain, viewed = run("plain", root=str(tested), epochs=1), run("viewed", root=str(tested), epochs=1, tta=tta)
    assert viewed.values["loss/val"] == plain.values["loss/val"]
    assert viewed.values["test/loss"] != plain.values["test/loss"]
    again = predict.evaluate(viewed.folder / "checkpoints/best", tested, "test", options=predict.SplitOptions(tta=tta))
    assert again.values["loss/test"] == pytest.approx(viewed.values["test/loss"], rel=1e-6)


def test_the_answer_of_views_is_the_mean_of_their_probabilities(run: Callable[..., Outcome], tested: Path) -> None:
    loaded = predict.load(run(epochs=1).folder / "checkpoints/best", "cpu")
    path = next((tested / "val").rglob("*.png"))
    image = normalise(Reader(loaded.spec).read(str(path))[0][None], loaded.spec)
    with torch.no_grad():
        both = torch.stack([loaded.model(pixel_values=view).logits.softmax(1) for view in (image, image.flip(3))])
        assert torch.allclose(log_probs(loaded.model, image, (16, 16), "hflip").exp().float(), both.mean(0), atol=1e-6)
        wide = normalise(Reader(tta_input_spec(loaded.spec, "five_crop")).read(str(path))[0][None], loaded.spec)
        assert wide.shape[-2:] == (18, 18)
        crops = [wide[:, :, t : t + 16, s : s + 16] for t, s in ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))]
        five = torch.stack([loaded.model(pixel_values=crop).logits.softmax(1) for crop in crops])
        found = log_probs(loaded.model, wide, (16, 16), "five_crop").exp().float()
        assert torch.allclose(found, five.mean(0), atol=1e-6)
