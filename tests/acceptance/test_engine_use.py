"""Using a trained model from the command line: figures, classes, export with its parity check. On the demo's digits."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from torch import nn

from imgcls_lab import Run, demo_data
from imgcls_lab.cli import main
from imgcls_lab.engine import standalone
from imgcls_lab.engine.inference import export as exporting
from imgcls_lab.settings import Settings


class Digits(NamedTuple):
    """A finished run of the demo's config, and its images."""

    run: Path
    root: Path
    values: dict[str, float]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    home = tmp_path_factory.mktemp("home")
    files = demo_data.prepare(Settings(home=str(home), datasets_dir=str(home / "datasets")))
    outcome = standalone(files.config.with_changes(epochs=4, threads=1), home / "digits-run")
    return Digits(outcome.folder, files.root, outcome.values)


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def imgcls(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(word) for word in words])
        said = capsys.readouterr()
        code = exit_.value.code
        return Done(code if isinstance(code, int) else int(code is not None), said.out, said.err)

    return run


def show(what: str, reached: object, target: object) -> None:
    print(f"\n{what}: {reached} (target {target})")


def test_predict_on_the_validation_folder_has_the_reported_accuracy(
    digits: Digits, imgcls: Callable[..., Done]
) -> None:
    done = imgcls("predict", digits.run, digits.root / "val", "--json", "--top", "3")
    assert done.code == 0
    rows = json.loads(done.out)
    right = np.mean([row["classes"][0]["name"] == Path(row["path"]).parent.name for row in rows])
    show("predict on val/", f"{right:.6f}", f"{digits.values['metric/accuracy']:.6f}, as the run reported")
    assert right == digits.values["metric/accuracy"]
    assert {len(row["classes"]) for row in rows} == {3}


def test_predict_takes_files_patterns_and_gives_a_row_to_what_is_no_image(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    pattern = digits.root / "test/7/*.png"
    done = imgcls("predict", digits.run / "checkpoints/best", pattern, tmp_path / "broken.png", "--csv", "--top", "2")
    assert done.code == 1
    assert "1 of" in done.err
    rows = list(csv.DictReader(done.out.splitlines()))
    assert len(rows) == 1 + len(list((digits.root / "test/7").glob("*.png")))
    assert [bool(row["error"]) for row in rows] == [False] * (len(rows) - 1) + [True]
    assert {row["class_1"] for row in rows[:-1]} >= {"7"}
    assert all(0 <= float(row["prob_2"]) <= float(row["prob_1"]) <= 1 for row in rows[:-1])


def test_evaluate_gives_the_test_figures_of_the_run_and_ranks_the_classes(
    digits: Digits, imgcls: Callable[..., Done]
) -> None:
    report = json.loads(imgcls("evaluate", digits.run, "--split", "test", "--json").out)
    reached = report["values"]["metric/accuracy"]
    show("evaluate on test/", f"{reached:.6f}", f"{digits.values['test/accuracy']:.6f}, as the run reported")
    assert reached == digits.values["test/accuracy"]
    table = imgcls("evaluate", digits.run / "checkpoints/best", "--root", digits.root, "--split", "val").out
    lines = [line.split() for line in table.splitlines()]
    start = next(number for number, words in enumerate(lines) if words[:1] == ["class"])
    f1 = [float(words[-1]) for words in lines[start + 1 :]]
    assert len(f1) == 10
    assert f1 == sorted(f1)
    viewed = json.loads(imgcls("evaluate", digits.run, "--tta", "hflip", "--json").out)
    assert viewed["values"]["loss/test"] != report["values"]["loss/test"]


def test_evaluate_matches_classes_by_name_and_refuses_those_that_the_model_does_not_know(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path
) -> None:
    shutil.copytree(digits.root / "test/7", tmp_path / "some/test/7")
    report = json.loads(imgcls("evaluate", digits.run, "--root", tmp_path / "some", "--json").out)
    seen = {row["name"]: row["images"] for row in report["classes"] if row["images"]}
    assert list(seen) == ["7"]
    assert report["values"]["metric/accuracy"] > 0.5
    (tmp_path / "some/test/7").rename(tmp_path / "some/test/seven")
    done = imgcls("evaluate", digits.run, "--root", tmp_path / "some")
    assert done.code == 2
    assert "classes that the model does not know: “seven”" in done.err


def test_a_run_in_python_does_the_same(digits: Digits, tmp_path: Path) -> None:
    run = Run("digits", folder=digits.run)
    assert run.evaluate("test").values["metric/accuracy"] == digits.values["test/accuracy"]
    assert run.report(split="test").values["metric/accuracy"] == digits.values["test/accuracy"]
    assert run.predictions()["correct"].mean() == digits.values["metric/accuracy"]
    (answer,) = run.predict(next((digits.root / "test/7").iterdir()), top=2)
    assert [len(answer.classes), answer.error] == [2, None]
    assert (run.export("hf", tmp_path / "hf") / "model.safetensors").exists()
    assert run.export() == digits.run / "exports/hf"


@pytest.mark.parametrize("form", ["hf", "onnx", "torch-export"])
def test_an_export_agrees_with_the_model_on_real_images(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path, form: str
) -> None:
    done = imgcls("export", digits.run, "--format", form, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    show(f"export to {form}", done.out.splitlines()[1], "within the tolerance it names")
    assert "The model gives what the run reported" in done.out
    assert (tmp_path / "out/preprocessor_config.json").exists()
    again = imgcls("export", digits.run, "--format", form, "--out", tmp_path / "out")
    assert again.code == 3
    assert "is there already" in again.err


def test_an_export_that_does_not_agree_is_not_written(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporting._WRITERS["torch-export"]

    def write_another(loaded: exporting.Classifier, folder: Path, *rest: object) -> None:
        head = next(part for part in reversed(list(loaded.model.modules())) if isinstance(part, nn.Linear))
        head.bias.data[0] += 0.01
        write(loaded, folder, *rest)

    monkeypatch.setitem(exporting._WRITERS, "torch-export", write_another)
    done = imgcls("export", digits.run, "--format", "torch-export", "--out", tmp_path / "out")
    show("export of other weights", done.err.strip(), "a refusal with the difference, 0.01")
    assert done.code == 4
    assert "differ by up to 0.01" in done.err
    assert list(tmp_path.iterdir()) == []


def test_weights_that_changed_since_the_run_are_not_exported(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(digits.run, tmp_path / "run", symlinks=True))
    file = run / "checkpoints/best/model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.startswith("classifier") and name.endswith("weight"))
    weights[name] = weights[name][::-1].copy()
    save_file(weights, file, {"format": "pt"})
    done = imgcls("export", run, "--out", tmp_path / "out")
    show("export of a checkpoint that was changed", done.err.strip(), "a refusal")
    assert done.code == 4
    assert "not the one that the run reported" in done.err
    assert not (tmp_path / "out").exists()


def test_a_missing_onnx_package_is_one_sentence(
    digits: Digits, imgcls: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = imgcls("export", digits.run, "--format", "onnx", "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.strip() == (
        "An ONNX export needs onnxruntime, which is not installed: pip install 'imgcls-lab[export]'."
    )
    assert list(tmp_path.iterdir()) == []
