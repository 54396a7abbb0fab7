"""A notebook as a run: real papermill, real kernels, the real daemon."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import nbformat
import pytest
from safetensors.numpy import load_file

import imgcls_lab as lab
from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api import context
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.executor import processes
from imgcls_lab.settings import Settings
from imgcls_lab.store import rebuild
from tests.waiting import until

from .conftest import Write

TRAIN = Path(__file__).parents[2] / "notebooks" / "train.ipynb"


def outputs(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return "".join(o.get("text", "") for c in notebook.cells if c.cell_type == "code" for o in c.outputs)


def test_a_notebook_runs_with_its_parameters_its_folder_and_no_secret(
    write: Write, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", 'hf_0123"456789')
    path = write("a = 1\nb = 'x'", "import os, time\nprint(a + 1, b, os.getcwd(), os.environ['HF_TOKEN'])")
    run = lab.launch_notebook(path, {"a": 41, "b": 'q"; import sys'}, name="small")
    path.write_text("{}")  # what was queued runs, whatever becomes of the file

    run.wait(60)
    assert (run.view.kind, run.state) == (RunKind.NOTEBOOK, RunState.SUCCEEDED)
    assert run.view.devices == []  # given back
    text = outputs(run.notebook)
    assert f'42 q"; import sys {path.parent} •••' in text
    assert "0123" not in run.notebook.read_text()
    assert run.notebook.stat().st_mode & 0o777 == 0o600
    assert "42" in run.log()


def test_a_secret_in_a_failure_reaches_neither_message_nor_log(
    write: Write, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    run = lab.launch_notebook(
        write("a = 1", "import os\nprint(os.environ['HF_TOKEN'])\nraise ValueError(os.environ['HF_TOKEN'])")
    )
    with pytest.raises(ImgclsError, match="ValueError: •••"):
        run.wait(60)
    kept = [path for path in run.folder.rglob("*") if path.is_file() and b"hf_0123456789" in path.read_bytes()]
    assert kept == []
    assert "•••" in run.log()


def test_a_failed_cell_is_marked_named_and_tried_again_by_resume(write: Write, own: Settings, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    path = write("a = 1", "print('before')", f"open({str(flag)!r}).read()", "print('after')")
    run = lab.launch_notebook(path)
    with pytest.raises(ImgclsError, match="Cell 3 of 4 failed: FileNotFoundError"):
        run.wait(60)
    notebook = nbformat.read(run.notebook, as_version=4)
    marks = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert any("An Exception was encountered" in mark for mark in marks)
    assert "before" in outputs(run.notebook)
    assert "after" not in outputs(run.notebook)

    flag.touch()
    run.resume().wait(60)
    assert "after" in outputs(run.notebook)
    assert all(c.cell_type == "code" for c in nbformat.read(run.notebook, as_version=4).cells)  # no mark is left


def test_a_stopped_notebook_leaves_no_process_and_a_killed_one_is_tried_again(write: Write, own: Settings) -> None:
    path = write("a = 1", "import os\nprint(os.getpid(), flush=True)\nimport time\nprint('waits')\ntime.sleep(600)")
    run = lab.launch_notebook(path)
    until(
        lambda: run.folder.joinpath(run_layout.NOTEBOOK).exists() and "waits" in outputs(run.notebook)
    )  # saved as it goes
    kernel = int(outputs(run.notebook).split()[0])
    assert processes.has_tag(kernel, processes.tag_of(run.id, 1))

    os.kill(kernel, signal.SIGKILL)  # as a machine short of memory does
    until(lambda: run.refresh().view.attempt == 2 and run.view.state is RunState.RUNNING)
    until(lambda: "waits" in outputs(run.notebook))
    run.stop()
    until(lambda: run.state is RunState.STOPPED)
    assert not processes.tagged(processes.tag_of(run.id, 2))
    assert not processes.tagged(processes.tag_of(run.id, 1))


@pytest.mark.timeout(900)  # sound on a busy machine, too, where imports alone take minutes
def test_training_inside_is_the_runs_own_and_resumes_to_the_same_bits(
    few: TrainConfig, own: Settings, tmp_path: Path
) -> None:
    config = few.with_changes(epochs=20)  # long enough to be stopped in the middle
    settings = config.model_dump(mode="json", exclude={"root", "epochs", "load_pretrained"}, exclude_defaults=True)
    given = {"root": config.root, "epochs": config.epochs, "load_pretrained": False}
    settings = {name: value for name, value in settings.items() if name not in given}
    run = lab.launch_notebook(TRAIN, {**given, "settings": settings})
    until(lambda: run.refresh().view.step > 0, 120)
    run.stop()
    until(lambda: run.state in {RunState.STOPPED, RunState.SUCCEEDED}, 120)
    assert run.view.state is RunState.STOPPED
    stopped_at = run.view.step
    run.resume().wait(120)

    direct = lab.train(config, out=tmp_path / "direct")
    ours, theirs = (load_file(path / "model.safetensors") for path in (run.best_checkpoint, direct.best_checkpoint))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    curve, expected = run.metrics(["loss/train"]), direct.metrics(["loss/train"])
    assert curve["loss/train"].tolist() == expected["loss/train"].tolist()
    view = run.refresh().view
    assert (view.attempt, view.resumed_at_step) == (2, stopped_at)
    assert (view.root, view.lr, view.epochs) == (config.root, config.lr, 20)
    assert view.best is not None
    assert view.best.epoch == direct.view.best.epoch  # type: ignore[union-attr]
    assert view.manifest is not None
    assert {"last", "best"} <= {link for item in view.checkpoints for link in item.links}
    assert run.report().epoch == 20
    shown = nbformat.read(run.notebook, as_version=4)
    live = [o for c in shown.cells if c.cell_type == "code" for o in c.outputs if "data" in o]
    assert any(o.data.get("application/vnd.imgcls.run+json", {}).get("run_id") == run.id for o in live)

    # a database made anew from the folders knows the same
    context.close()
    Path(own.home_path / "imgcls.db").unlink()
    assert rebuild(own).problems == []
    again = lab.run(run.id).view
    assert (again.kind, again.state, again.best, again.step) == (RunKind.NOTEBOOK, view.state, view.best, view.step)
    assert again.payload["parameters"]["epochs"] == 20
    assert json.loads((run.folder / run_layout.CONFIG).read_text())["lr"] == config.lr
