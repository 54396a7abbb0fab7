"""What TensorBoard reads of a run: curves thinned out without losing a spike, and each option's own pictures."""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pynvml
import pytest
import torch
from PIL import Image
from sklearn.metrics import precision_score, recall_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.evaluation.metrics import Predictions
from imgcls_lab.engine.reporting.tensorboard_images import confusion_image, examples_image
from imgcls_lab.engine.reporting.tensorboard_summaries import (
    choose_examples,
    gpu_metrics,
    has_images,
    hyper_parameters,
    pr_curves,
)
from imgcls_lab.engine.reporting.tensorboard_writer import TensorBoardWriter

from .conftest import of_type, same_files
from .test_resume import stop_after

Run = Callable[..., Outcome]


def read(outcome: Outcome) -> EventAccumulator:
    everything = {"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    return EventAccumulator(str(outcome.folder / "tensorboard"), size_guidance=everything).Reload()


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def plain(make_config: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return train(make_config(), tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def full(make_config: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    config = make_config(tensorboard_histograms=True, tensorboard_graph=True)
    return train(config, tmp_path_factory.mktemp("full") / "run")


def predicted(labels: np.ndarray, top: np.ndarray, probs: np.ndarray) -> Predictions:
    """Without what these pictures do not ask for."""
    nothing = np.zeros(len(labels))
    return Predictions(labels, top, probs, nothing.astype(np.float16), nothing.astype(np.float32))


def test_scalars_are_grouped_and_the_best_epoch_stands_by_itself(plain: Outcome) -> None:
    board = read(plain)
    groups = {tag.split("/")[0] for tag in board.Tags()["scalars"]}
    assert groups == {"loss", "metric", "lr", "grad_norm", "throughput", "time", "device", "best"}
    assert {"loss/train", "loss/val"} <= set(board.Tags()["scalars"])
    assert board.Scalars("best/accuracy")[0].value == pytest.approx(plain.values["metric/accuracy"])
    assert board.Scalars("best/loss")[0].value == pytest.approx(plain.values["loss/val"])
    assert 0.01 < board.Scalars("device/memory_gb")[-1].value < 100


def test_a_gpu_that_does_not_say_how_busy_it_is_stops_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: torch.device) -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    gpu = torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert gpu_metrics(gpu) == {}
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 37)
    assert gpu_metrics(gpu) == {"device/gpu_percent": 37.0}
    assert gpu_metrics(torch.device("cpu")) == {}


def test_hyper_parameters_are_those_that_affect_the_result(
    plain: Outcome, make_config: Callable[..., TrainConfig]
) -> None:
    contents = read(plain).PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["batch_size"].number_value == 16
    assert start.hparams["augmentation"].string_value == "light"
    assert start.hparams["load_pretrained"].bool_value is False
    assert set(start.hparams) == set(hyper_parameters(make_config()))
    assert "log_every" not in start.hparams
    end = metadata.parse_session_end_info_plugin_data(contents[metadata.SESSION_END_INFO_TAG])
    assert end.status == 1  # success


def test_each_epoch_has_its_pictures_and_pr_curves(plain: Outcome) -> None:
    board = read(plain)
    steps = [event.step for event in of_type(plain.folder, "epoch")]
    for tag in ("evaluation/confusion", "evaluation/examples"):
        pictures = board.Images(tag)
        assert [picture.step for picture in pictures] == steps
        decoded = Image.open(io.BytesIO(pictures[0].encoded_image_string))
        assert decoded.size == (pictures[0].width, pictures[0].height)
    curves = [tag for tag in board.Tags()["tensors"] if tag.startswith("pr/")]
    assert curves == ["pr/all classes", *(f"pr/digit-{i}" for i in range(4))]
    assert [point.step for point in board.Tensors("pr/digit-0")] == steps


def test_what_is_off_is_not_written(plain: Outcome, run: Run) -> None:
    tags = read(plain).Tags()
    assert (tags["histograms"], tags["graph"]) == ([], False)
    tags = read(run("bare", tensorboard_evaluation=False, epochs=1)).Tags()
    assert tags["images"] == []
    assert not [tag for tag in tags["tensors"] if tag.startswith("pr/")]


def test_histograms_hold_weights_of_each_epoch_and_gradients_of_its_first_step(full: Outcome) -> None:
    board = read(full)
    weights = sorted(tag for tag in board.Tags()["histograms"] if tag.startswith("weights/"))
    gradients = sorted(tag for tag in board.Tags()["histograms"] if tag.startswith("gradients/"))
    assert [tag.split("/")[1] for tag in weights] == [tag.split("/")[1] for tag in gradients]
    name = next(tag for tag in weights if tag.endswith("classifier.1.weight"))
    assert [event.step for event in board.Histograms(name)] == [8, 16]
    assert [event.step for event in board.Histograms(name.replace("weights", "gradients"))] == [1, 9]
    last = board.Histograms(name)[-1].histogram_value
    weight = _exported(full.folder)["classifier.1.weight"].double().numpy()
    assert last.num == weight.size
    assert (last.min, last.max) == pytest.approx((float(weight.min()), float(weight.max())))
    assert last.sum == pytest.approx(float(weight.sum()), abs=1e-6)
    assert sum(last.bucket) == last.num


def _exported(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "checkpoints/last/model.safetensors")


def test_a_long_tensor_s_histogram_counts_a_sample_of_it(
    tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    from imgcls_lab.engine.reporting.tensorboard_summaries import SAMPLE, TensorBoardSummaries

    model = torch.nn.Linear(1000, 1000)
    board = TensorBoardSummaries(
        tmp_path, 1, 0, config=make_config(), classes=[], val=None,  # type: ignore[arg-type]
        model=model, optimizer=torch.optim.SGD(model.parameters()),
    )  # fmt: skip
    board._histogram("weights/long", 1, model.weight)
    board._histogram("weights/broken", 1, torch.tensor([math.nan, 1.0, math.inf]))
    board.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert SAMPLE / 2 < found.Histograms("weights/long")[0].histogram_value.num <= SAMPLE
    assert found.Histograms("weights/broken")[0].histogram_value.num == 1


@pytest.mark.parametrize("model", ["tiny_model", "tiny_vit"])
def test_the_graph_names_the_model_s_parts(run: Run, model: str, request: pytest.FixtureRequest) -> None:
    outcome = run(model_flavour=str(request.getfixturevalue(model)), tensorboard_graph=True, epochs=1)
    names = {node.name for node in read(outcome).Graph().node}
    part = "classifier" if model == "tiny_model" else "attention"
    assert any(part in name.lower() for name in names), sorted(names)[:20]
    assert not [event for event in of_type(outcome.folder, "notice") if event.level == "warning"]


def test_a_model_that_cannot_be_traced_trains_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no trace\nand more")

    monkeypatch.setattr(torch.jit, "trace", fail)
    outcome = run(tensorboard_graph=True, epochs=1)
    (notice,) = [event for event in of_type(outcome.folder, "notice") if event.level == "warning"]
    assert notice.text.endswith(": no trace")


def test_what_tensorboard_is_told_changes_no_weight(plain: Outcome, full: Outcome) -> None:
    assert same_files(plain.folder, full.folder, "checkpoints/last/model.safetensors")


def test_a_resume_writes_no_second_graph_and_goes_on_with_pictures(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = make_config(tensorboard_graph=True, tensorboard_histograms=True)
    stop, on_event = stop_after(9)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    outcome = train(config, tmp_path / "run")
    board = read(outcome)
    assert [picture.step for picture in board.Images("evaluation/confusion")] == [8, 16]
    assert len(board.Tags()["run_metadata"]) == 1
    files = [path for path in (tmp_path / "run/tensorboard").iterdir() if os.path.getsize(path)]
    assert len(files) == 2


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_long_runs_have_pictures_of_ever_fewer_epochs_and_of_the_last() -> None:
    drawn = [epoch for epoch in range(1, 1000) if has_images(epoch, 999)]
    assert drawn[:50] == list(range(1, 51))
    assert drawn[50:75] == list(range(52, 101, 2))
    assert drawn[-1] == 999
    assert len(drawn) < 170


def test_examples_are_the_same_each_epoch_and_mistakes_the_surest_first() -> None:
    labels = np.zeros(100, np.int32)
    found, probs = labels.copy(), np.full(100, 0.9, np.float16)
    found[[7, 40, 90]], probs[[7, 40, 90]] = 1, np.array([0.3, 0.8, 0.5], np.float16)
    chosen = choose_examples(predicted(labels, found[:, None], probs[:, None]))
    assert chosen["evaluation/mistakes"].tolist() == [40, 90, 7]
    assert len(chosen["evaluation/examples"]) == 16
    again = choose_examples(predicted(labels, labels[:, None], probs[:, None]))
    assert again["evaluation/mistakes"].tolist() == []
    assert again["evaluation/examples"].tolist() == chosen["evaluation/examples"].tolist()


def test_pr_curves_are_those_of_scikit_learn() -> None:
    probs = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)).softmax(1).numpy()
    labels = np.random.default_rng(0).integers(0, 4, 300).astype(np.int32)
    order = np.argsort(-probs, 1).astype(np.int32)
    sorted_probs = np.take_along_axis(probs, order, 1).astype(np.float16)
    curves = dict(pr_curves(predicted(labels, order, sorted_probs), list("abcd")))
    assert list(curves) == ["pr/all classes", "pr/a", "pr/b", "pr/c", "pr/d"]
    half = probs.astype(np.float16).astype(np.float64)
    for number, name in enumerate("abcd"):
        for threshold in (0, 30, 63, 80):
            above = half[:, number] >= threshold / 126
            tp, fp, tn, fn, precision, recall = curves[f"pr/{name}"][:, threshold]
            assert tp + fp + tn + fn == 300
            assert precision == pytest.approx(precision_score(labels == number, above, zero_division=0))
            assert recall == pytest.approx(recall_score(labels == number, above))


def test_a_class_out_of_the_likeliest_counts_as_not_predicted() -> None:
    labels = np.array([9, 0], np.int32)
    classes = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]], np.int32)
    probs = np.array([[0.6, 0.1, 0.1, 0.1, 0.05]] * 2, np.float16)
    nine = dict(pr_curves(predicted(labels, classes, probs), [str(i) for i in range(10)]))["pr/9"]
    assert (nine[0, 0], nine[3, 1]) == (1, 1)  # found at a threshold of 0 alone


@pytest.mark.parametrize("count", [2, 10, 40, 41, 200])
def test_the_confusion_picture_is_bounded_and_shows_the_diagonal(count: int) -> None:
    names = [f"class {i} with a long long name" for i in range(count)]
    picture = confusion_image(np.eye(count, dtype=np.int64) * 7, names)
    assert max(picture.size) < 900
    margin = picture.width - 600 // count * count - 1
    assert picture.getpixel((margin + 2, 15 + 1 if count > 40 else 15 + 2)) == (16, 64, 140)


def test_examples_of_any_size_and_name_make_a_picture_of_one_size() -> None:
    for edge in (8, 640):
        images = np.zeros((9, edge, edge, 3), np.uint8)
        picture = examples_image(images, ["truth"] * 9, ["a very long name of a class indeed"] * 9, [0.5] * 9)
        assert picture.size == (8 * 120 + 8, 2 * 150 + 8)


# ── the event file ──────────────────────────────────────────────────────────────────────────────────────────────
def test_the_buckets_of_a_resumed_run_are_those_of_the_whole_one(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random(6001).tolist()
    whole, parts = TensorBoardWriter(tmp_path, 1, 0), tmp_path / "parts"
    parts.mkdir()
    for step in range(1, 6001):
        whole.add(step, {"loss": values[step]})
    whole.close()
    edge = 4096 + 16 * 20  # where a bucket begins
    for attempt, first, last in ((1, 1, edge + 40), (2, edge, 6001)):
        writer = TensorBoardWriter(parts, attempt, first - 1)
        for step in range(first, last):
            writer.add(step, {"loss": values[step]})
        writer.close()
        time.sleep(1)  # files are told apart by the second

    def points(folder: Path) -> list[tuple[int, float]]:
        board = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        return [(point.step, point.value) for point in board.Scalars("loss")]

    assert points(parts) == points(next(tmp_path.glob("events*")))


def test_event_files_are_for_their_user_alone(tmp_path: Path) -> None:
    TensorBoardWriter(tmp_path, 1, 0).close()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
