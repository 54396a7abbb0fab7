"""The notebooks a user starts from, executed as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.api.galleries import IMAGES_TYPE
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import rebuild

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs_and_with_stable_ids(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.id.replace("-", "").isalpha()
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_quickstart_tells_its_story(own: Settings, tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=where).execute()

    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    (live,) = outputs["launch"]
    kinds = set(live["data"])
    assert {"application/vnd.imgcls.run+json", "image/svg+xml", "text/plain"} <= kinds
    assert "epoch 4 of 4" in live["data"]["text/plain"]  # brought up to date by `wait`
    assert "test digits are right" in "".join(output.get("text", "") for output in outputs["model"])
    assert all(output.output_type != "error" for cell in outputs.values() for output in cell)
    shown = [output.data for found in outputs.values() for output in found if "data" in output]
    galleries = [data for data in shown if IMAGES_TYPE in data]  # samples and mistakes: live, and as pictures for ever
    assert [data["text/html"].count("data:image/webp") > 0 for data in galleries] == [True, True]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("data:image/webp") == sum(data["text/html"].count("data:image/webp") for data in galleries) > 20
    assert page.count("data:image/svg+xml;base64") > 0  # the live cell's curves
    trained = [run for run in lab.runs() if run.view.kind is RunKind.TRAIN]
    first, second = sorted(trained, key=lambda run: run.view.created_at)
    assert (first.name, second.name) == ("first digits", "in the kernel")
    assert first.state is second.state is RunState.SUCCEEDED
    best = first.view.best
    assert best is not None
    assert best.value > 0.9


def test_papermill_trains_with_parameters_and_no_daemon(few: TrainConfig, idle: Settings, tmp_path: Path) -> None:
    parameters = {"root": few.root, "model_flavour": few.model_flavour, "epochs": 2, "image_size": 32}
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    words += ["-y", "settings: {load_pretrained: false, threads: 1}"]
    target = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(NOTEBOOKS / "train.ipynb"), str(target), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr

    assert rebuild(idle).runs == 1
    (run,) = lab.runs()
    assert (run.state, run.config.epochs) == (RunState.SUCCEEDED, 2)
    assert run.config.root == few.root
    notebook = nbformat.read(target, as_version=4)
    shown = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    assert str(run.best_checkpoint) in shown["model"][0]["text"]
    assert "has finished: epoch 2 of 2" in shown["train"][0]["data"]["text/plain"]
    assert "application/vnd.imgcls.run+json" not in shown["train"][1]["data"]
    context.close()
