"""What was predicted of each image can be found again, and prediction says the same as validation did."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from imgcls_lab import model_calibration, predictions
from imgcls_lab.analysis import curves, summary
from imgcls_lab.analysis.evaluation import RunFiles, load
from imgcls_lab.analysis.image_pages import page
from imgcls_lab.calibration import calibration_error
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.inference import predict
from imgcls_lab.engine.inference.export import Known, export
from imgcls_lab.errors import DataError, MismatchError, ModelError, NotFoundError
from imgcls_lab.events import Event, Metrics
from imgcls_lab.schemas import Abstention, Calibration, EvaluatedQuery
from imgcls_lab.store.run_files import read_report

from .conftest import SIZE, curve, of_type

Run = Callable[..., Outcome]
Make = Callable[..., TrainConfig]


def test_predict_on_the_validation_images_says_what_the_run_stored_of_each(run: Run, digits_source: Path) -> None:
    outcome = run(epochs=3)
    table = predictions.load_predictions(outcome.folder, 3)
    assert table["correct"].mean() == outcome.values["metric/accuracy"]
    assert list(table["label"]) == [Path(path).parent.name for path in table["path"]]
    paths = [digits_source / path for path in table["path"]]
    answers = list(predict.predict(outcome.folder / "checkpoints/best", paths, top=4, batch_size=7))
    assert [answer.classes[0].name for answer in answers] == list(table["class_1"])
    assert [answer.classes[3].prob for answer in answers] == pytest.approx(list(table["prob_4"]), abs=1e-3)


def test_evaluating_on_val_takes_the_images_that_the_run_held_out(
    make_config: Callable[..., TrainConfig], digits: Path, tmp_path: Path
) -> None:
    shutil.rmtree(digits / "val")
    config = make_config(root=str(digits), epochs=3, val_fraction=0.3)
    outcome = train(config, tmp_path / "run")
    report = predict.evaluate(outcome.folder / "checkpoints/best", digits, "val", config=config)
    assert report.images == 36
    assert report.values["loss/val"] == pytest.approx(outcome.values["loss/val"], rel=1e-6)
    with pytest.raises(DataError, match="no images under val/"):
        predict.evaluate(outcome.folder / "checkpoints/best", digits, "val")


def test_the_list_of_images_is_written_once_and_guards_every_epoch(run: Run) -> None:
    folder = run(epochs=2).folder / "predictions"
    assert sorted(path.name for path in folder.iterdir()) == [
        "epoch-0001.npz", "epoch-0002.npz", "train-0001.npz", "train-0002.npz", "train-images.npz", "val-images.npz",
        "val-probs.npy",
    ]  # fmt: skip
    with np.load(folder / "val-images.npz", allow_pickle=False) as listed:
        changed = dict(listed)
    changed["paths"] = changed["paths"][::-1]
    np.savez(folder / "val-images.npz", **changed)
    with pytest.raises(DataError) as other:
        predictions.read(folder.parent, 2)
    assert other.value.reason == "other_images"
    with pytest.raises(NotFoundError):
        predictions.read(folder.parent, 9)


def test_what_is_kept_of_each_image_is_what_the_model_says(run: Run, digits_source: Path) -> None:
    outcome = run(epochs=2, keep_best=1)
    best = run_best(outcome)
    held = predictions.read(outcome.folder, best)
    probs = predictions.read_probs(outcome.folder, held, "val")
    assert probs is not None
    paths = [digits_source / held.images.name(number) for number in range(len(held.images))]
    rows = np.concatenate(list(probs.blocks()))
    assert np.array_equal(rows[3], probs.row(3))
    assert np.array_equal(rows[:, 2], probs.column(2))
    answers = predict.predict(outcome.folder / "checkpoints/best", paths, top=4)
    by_name = [{item.name: item.prob for item in answer.classes} for answer in answers]
    exact = np.asarray([[row[name] for name in held.images.classes] for row in by_name])
    assert rows.astype(float) == pytest.approx(exact, abs=5e-4)
    of_label = exact[np.arange(len(exact)), held.labels]
    assert held.label_probs is not None
    assert held.label_probs.astype(float) == pytest.approx(of_label, abs=5e-4)
    assert held.losses == pytest.approx(-np.log(of_label), rel=1e-5)
    for number, path in enumerate(paths):
        assert held.images.image_id(number) == hashlib.sha256(path.read_bytes()).hexdigest()
        assert number in held.images.find(held.images.image_id(number))
    assert not len(held.images.find("0" * 64))
    other = predictions.read(outcome.folder, 3 - best)
    assert predictions.read_probs(outcome.folder, other, "val") is None, "those of the best epoch alone are kept"
    agrees_with_its_report(RunFiles("run", "run", outcome.folder, best))


def agrees_with_its_report(files: RunFiles) -> None:
    """The evaluation page shows the numbers that the run reported, from what it kept."""
    view = summary.view(files, "val", None, lambda epoch, split: read_report(files.folder, epoch, split))
    right = sum(cell.images for cell in view.cells if cell.label == cell.predicted)
    assert view.values["metric/accuracy"] == pytest.approx(right / view.images)
    assert calibration_error(view.reliability) == pytest.approx(view.values["metric/calibration_error"], abs=2e-3)
    areas = [curves.class_curves(files.folder, load(files), name).auroc for name in view.class_names]
    assert np.mean([area for area in areas if area is not None]) == pytest.approx(view.values["metric/auroc"], abs=2e-3)
    assert view.temperature
    assert sum(part.images for part in view.calibrated) == view.images
    assert (view.trend_epochs, view.classes[0].f1_by_epoch[files.best_epoch - 1 if files.best_epoch else 0]) == (
        [1, 2],
        view.classes[0].f1 and pytest.approx(view.classes[0].f1, abs=1e-4),
    )
    assert page(files, EvaluatedQuery(split="train")).total > 0


def test_the_first_step_keeps_the_loss_that_the_curve_shows(run: Run) -> None:
    """One batch of all images: its mean is the point of the curve, and mixed images have no loss of their own."""
    folder = run(epochs=1, batch_size=120, log_every=1).folder
    kept = predictions.read_train(folder, 1)
    assert kept.losses.astype(float).mean() == pytest.approx(curve(folder)[0], rel=1e-3)
    assert kept.label_probs.astype(float) == pytest.approx(np.exp(-kept.losses.astype(float)), abs=1e-3)
    assert len(kept.images) == 120
    assert kept.images.labels is not None
    assert [kept.images.classes[label] for label in kept.images.labels] == [
        Path(kept.images.name(number)).parent.name for number in range(120)
    ]
    mixed = predictions.read_train(run("mixed", epochs=1, cutmix=0.2).folder, 1)
    alone = ~np.isnan(mixed.losses)
    assert 0 < alone.sum() < 120, "a box of no area leaves an image as it is"
    drawn = predictions.read_train(run("drawn", epochs=1, balance="sampler").folder, 1)
    assert 0 < np.isnan(drawn.losses).sum() < 120, "an epoch that draws by class does not see each image"


def test_a_resumed_epoch_keeps_the_same_bits_of_each_image(make_config: Make, tmp_path: Path) -> None:
    config = make_config(mixup=0.02, cutmix=0.02)
    train(config, tmp_path / "whole")
    stop = threading.Event()

    def within_the_second_epoch(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= 11:
            stop.set()

    train(config, tmp_path / "parts", stop=stop, on_event=within_the_second_epoch)
    assert predictions.train_epochs(tmp_path / "parts") == [1]
    train(config, tmp_path / "parts")
    assert predictions.epochs(tmp_path / "parts") == predictions.train_epochs(tmp_path / "parts") == [1, 2]
    whole, parts = (predictions.read_train(tmp_path / name, 2) for name in ("whole", "parts"))
    assert np.isnan(whole.losses).any()
    assert not np.isnan(whole.losses).all()
    assert same_bits(whole.losses, parts.losses)
    assert same_bits(whole.label_probs, parts.label_probs)
    before, after = (predictions.read(tmp_path / name, 2) for name in ("whole", "parts"))
    assert before.losses is not None
    assert after.losses is not None
    assert same_bits(before.losses, after.losses)
    assert same_bits(before.probs, after.probs)


def run_best(outcome: Outcome) -> int:
    """The best epoch of a run."""
    return of_type(outcome.folder, "finished")[0].best_epoch


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def test_an_image_that_cannot_be_read_has_a_row_of_its_own(run: Run, digits: Path, tmp_path: Path) -> None:
    good = sorted((digits / "val").rglob("*.png"))[:3]
    (tmp_path / "broken.png").write_bytes(b"no image")
    paths = [good[0], tmp_path / "broken.png", good[1], tmp_path / "missing.png", good[2]]
    answers = list(predict.predict(run(epochs=1).folder / "checkpoints/best", paths))
    assert [answer.path for answer in answers] == [str(path) for path in paths]
    assert [bool(answer.classes) for answer in answers] == [True, False, True, False, True]
    assert "missing.png" in str(answers[3].error)


@pytest.mark.parametrize("format", ["hf", "onnx", "torch-export"])
def test_a_transformer_is_exported_to_each_form(
    run: Run, tiny_vit: Path, digits_source: Path, tmp_path: Path, format: str
) -> None:
    outcome = run(epochs=1, model_flavour=str(tiny_vit), load_pretrained=True)
    images = [Known(str(path)) for path in sorted((digits_source / "val").rglob("*.png"))[:5]]
    best, out = outcome.folder / "checkpoints/best", tmp_path / "out"
    abstain_below(best, 0.5 * sum(sorted(of(best, images))[1:3]))
    done = export(best, format, out, images)
    assert done.difference <= done.limit
    assert (done.images, done.abstains) == (5, 2)
    assert model_calibration.read(out) == model_calibration.read(best)
    assert "Take no answer" in (out / "README.md").read_text()
    if format == "hf":
        config = AutoConfig.from_pretrained(out)
        assert config.imgcls_lab["abstention"]["threshold"] == model_calibration.read(best).abstention.threshold
        config.save_pretrained(tmp_path / "again")
        assert model_calibration.read(tmp_path / "again") == model_calibration.read(best), "transformers keeps it"
        assert [answer.abstains for answer in predict.predict(out, [image.path for image in images])] == [
            prob < config.imgcls_lab["abstention"]["threshold"] for prob in of(best, images)
        ]


def of(model: Path, images: list[Known]) -> list[float]:
    """The probability of the likeliest class of each image."""
    return [answer.classes[0].prob for answer in predict.predict(model, [image.path for image in images])]


def abstain_below(model: Path, threshold: float) -> None:
    held = Abstention(threshold=threshold, promised_error=0.1, coverage=0.6, error=0.0, upper_error=0.1, images=5)
    model_calibration.write(model, Calibration(temperature=1.5, abstention=held))


def test_an_export_that_does_not_abstain_as_the_model_is_not_written(
    run: Run, digits_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = run(epochs=1).folder / "checkpoints/best"
    images = [Known(str(path)) for path in sorted((digits_source / "val").rglob("*.png"))[:5]]
    abstain_below(best, 0.5)
    write = model_calibration.write
    another = Abstention(threshold=0.9, promised_error=0.1, coverage=0.6, error=0.0, upper_error=0.1, images=5)
    for wrong in (Calibration(), Calibration(abstention=another)):
        monkeypatch.setattr(model_calibration, "write", lambda folder, _given, wrong=wrong: write(folder, wrong))
        with pytest.raises(MismatchError):
            export(best, "hf", tmp_path / "out", images)
        assert not (tmp_path / "out").exists()


def test_the_threshold_chosen_on_val_goes_with_the_model_and_holds_on_test(run: Run, digits: Path) -> None:
    shutil.copytree(digits / "val", digits / "test")
    outcome = run(root=str(digits), epochs=6, abstain_error=0.6)
    best, epoch = outcome.folder / "checkpoints/best", run_best(outcome)
    written = outcome.folder / "reports"
    reports = [json.loads((written / name).read_text()) for name in (f"epoch-{epoch:04d}.json", "test.json")]
    held = Calibration.model_validate(reports[0]["calibration"])
    assert held == model_calibration.read(best)
    assert held.abstention is not None
    assert held.abstention.promised_error == 0.6
    assert held.temperature is not None
    said = reports[1]["answered"]
    assert (said["coverage"], said["error"]) == pytest.approx((held.abstention.coverage, held.abstention.error))
    evaluated = predict.evaluate(best, digits, "test")
    assert evaluated.answered is not None
    assert evaluated.answered.model_dump() == pytest.approx(said)
    paths = sorted((digits / "test").rglob("*.png"))
    answers = list(predict.predict(best, paths))
    assert sum(not answer.abstains for answer in answers) / len(paths) == pytest.approx(held.abstention.coverage)
    within = outcome.folder.with_name("within")
    stop = threading.Event()
    train(
        TrainConfig.parse_saved((outcome.folder / "config.json").read_bytes()),
        within,
        stop=stop,
        on_event=lambda event: stop.set() if isinstance(event, Metrics) and event.step > 9 else None,
    )
    assert model_calibration.read(within / "checkpoints/last") == Calibration(), "its weights were not validated"


def test_a_threshold_that_is_none_is_a_sentence(run: Run) -> None:
    best = run(epochs=1).folder / "checkpoints/best"
    path = best / "config.json"
    config = json.loads(path.read_text())
    for value in ("x", {"abstention": {"threshold": "high"}}, {"other": 1}, [1]):
        path.write_text(json.dumps({**config, "imgcls_lab": value}))
        with pytest.raises(ModelError) as error:
            predict.load(best)
        assert error.value.reason == "bad_calibration"


def test_a_model_that_the_run_did_not_report_is_not_exported(run: Run, digits_source: Path, tmp_path: Path) -> None:
    outcome = run(epochs=1)
    path = str(next((digits_source / "val").rglob("*.png")))
    answer = next(predict.predict(outcome.folder / "checkpoints/best", [path])).classes[0]
    wrong = Known(path, answer.name, answer.prob - 0.05)
    with pytest.raises(MismatchError, match="run reported"):
        export(outcome.folder / "checkpoints/best", "hf", tmp_path / "out", [wrong])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bound", ["CHUNK_IMAGES", "MAX_CHUNK_BYTES"])
def test_chunks_change_no_metric_and_what_cannot_be_read_is_named(
    run: Run, digits: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    model = run(epochs=2).folder / "checkpoints/best"
    whole = predict.evaluate(model, digits, "val")
    broken = sorted((digits / "val").rglob("*.png"))[1::4]
    for path in broken:
        copy = path.with_name(f"a-{path.name}")
        copy.write_bytes(b"no image")
    seen: list[tuple[int, int]] = []
    five = 5 if bound == "CHUNK_IMAGES" else 5 * 3 * SIZE**2
    monkeypatch.setattr(f"imgcls_lab.engine.data.chunked_reader.{bound}", five)
    parts = predict.evaluate(
        model, digits, "val", options=predict.SplitOptions(batch_size=2), progress=lambda *told: seen.append(told)
    )
    assert sorted(parts.left_out) == sorted(f"val/{p.parent.name}/a-{p.name}" for p in broken)
    assert parts.values == pytest.approx(whole.values, rel=1e-6)
    assert parts.model_copy(update={"left_out": {}, "values": {}}) == whole.model_copy(update={"values": {}})
    everything = whole.images + len(broken)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == everything
    assert {total for _, total in seen} == {everything}


def test_a_split_of_nothing_readable_is_refused_with_a_reason(run: Run, digits: Path) -> None:
    model = run(epochs=1).folder / "checkpoints/best"
    for path in (digits / "val").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"val/ .*\.png"):
        predict.evaluate(model, digits, "val")
