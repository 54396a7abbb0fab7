"""What a run answers when it is asked for what it has, for what it does not have, and when it is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api import inference
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_queue import find_model
from imgcls_lab.errors import ImgclsError, InputError, NotFoundError
from imgcls_lab.events import Event, Metrics, RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import rebuild


@pytest.fixture
def trained(few: TrainConfig, idle: Settings, tmp_path_factory: pytest.TempPathFactory) -> lab.Run:
    """A run of two epochs; trained once, a copy for each test."""
    kept = tmp_path_factory.getbasetemp() / "trained"
    if not kept.exists():
        lab.train(few, out=kept)
    folder = Path(shutil.copytree(kept, idle.home + "/mine", symlinks=True))
    return lab.Run(folder.name, folder=folder)


class Breaks:
    """A screen that fails at the first step."""

    def begin(self, run: RunFolder, *, indexed: bool) -> None: ...

    def on_event(self, event: Event) -> None:
        if isinstance(event, Metrics):
            raise ValueError("no")

    def end(self) -> None: ...


def test_a_curve_is_asked_for_by_its_name_and_no_other(trained: lab.Run) -> None:
    assert trained.metrics("loss/train").equals(trained.metrics(["loss/train"]))
    assert list(trained.metrics("loss/train")) == ["epoch", "loss/train"]
    for asked in ("loss/foo", ["loss/train", "loss/foo"]):
        with pytest.raises(NotFoundError, match=r"“loss/foo”.*loss/"):
            trained.metrics(asked)


def test_before_the_first_validation_its_figures_have_no_points(trained: lab.Run) -> None:
    events = trained.folder / "events-001.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if json.loads(line)["type"] == "metrics")
    events.write_text("".join(lines[: first + 1]))
    frame = lab.Run("mine", folder=trained.folder).metrics(["loss/train", "loss/val"])
    assert frame["loss/train"].count() == 1
    assert frame["loss/val"].count() == 0


def test_forms_views_and_splits_that_there_are_not_are_named(trained: lab.Run, few: TrainConfig) -> None:
    with pytest.raises(InputError, match="“tflite”; there are hf, onnx, torch-export"):
        trained.export("tflite")  # type: ignore[arg-type]
    assert not (trained.folder / "exports").exists()
    with pytest.raises(InputError, match=r"“flip”.*hflip"):
        trained.evaluate("val", tta="flip")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="“flip”"):
        trained.predict(few.root, tta="flip")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1"):
        trained.predict(few.root, top=0)
    with pytest.raises(InputError, match="did you mean test"):
        trained.report(split="tests")


def test_an_evaluation_says_of_which_epoch_its_model_is(trained: lab.Run, few: TrainConfig, tmp_path: Path) -> None:
    report, best = trained.evaluate("val"), trained.best
    assert best is not None
    assert (report.epoch, report.step) == (best.epoch, best.epoch * 5)
    bare = Path(shutil.copytree(trained.best_checkpoint, tmp_path / "bare", ignore=shutil.ignore_patterns("training*")))
    report = inference.evaluate(find_model(bare), "val", root=few.root)
    assert (report.epoch, report.step) == (None, None)


def test_a_deleted_run_says_so(few: TrainConfig, idle: Settings) -> None:
    run = lab.train(few, name="<b>")
    rebuild(idle)
    other = lab.run(run.id)
    run.delete()
    assert repr(run) == f"<Run {run.id}: <b> was deleted>"
    assert "&lt;b&gt; was deleted" in run._repr_html_()
    for gone in (run, other):
        with pytest.raises(NotFoundError):
            _ = gone.state
        assert "was deleted" in repr(gone)


def test_a_failed_run_without_a_checkpoint_is_not_called_resumable(few: TrainConfig, idle: Settings) -> None:
    with pytest.raises(ImgclsError):
        lab.train(few, screen=Breaks())
    (folder,) = (path for path in idle.runs_dir.iterdir() if run_layout.is_run_id(path.name))
    rebuild(idle)
    for run in (lab.Run(folder.name, folder=folder), lab.run(folder.name)):
        assert (run.state, run.view.resumable) == (RunState.FAILED, False)
    assert lab.run(folder.name).resume().state is RunState.QUEUED, "it may start again all the same"


def test_the_demo_can_be_called(own: Settings) -> None:
    run = lab.demo(epochs=1)  # type: ignore[operator]
    assert (run.state, run.view.epochs) == (RunState.SUCCEEDED, 1)
    assert run.config.root == str(lab.demo.prepare().root)
