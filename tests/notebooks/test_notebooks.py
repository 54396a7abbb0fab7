"""The notebooks a user starts from, executed as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.api.galleries import IMAGES_TYPE
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild

MOST = 400_000  # bytes of a stored notebook
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_with_what_they_show_and_with_stable_ids(path: Path) -> None:
    """As a code host shows them, where no kernel and no server is."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < MOST
    assert "widgets" not in notebook.metadata
    assert not re.search(r"/tmp/|/root/", path.read_text())  # of the machine that executed it
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "make notebooks"
    assert all(cell.id.replace("-", "").isalpha() for cell in notebook.cells)
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        kinds = set(output.get("data", {"text/plain": ""}))
        assert kinds & {"text/plain", "text/html", "image/svg+xml", "image/png"}
        assert not any("vnd." in kind for kind in kinds)
        assert not re.search(r"<td>(None|NaN|NaT)</td>", output.get("data", {}).get("text/html", "")), "a dash is shown"


PICTURE = re.compile(r"<svg|<img[^>]*src=\"data:image/")


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_an_export_to_html_shows_each_picture_without_a_network(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    stored = [data.get("text/html") or data.get("image/svg+xml") or "" for data in outputs]
    pictures = sum(len(PICTURE.findall(text)) for text in stored)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    body = page[page.index("<body") :]
    assert pictures > 0
    assert len(PICTURE.findall(body)) >= pictures
    assert not re.search(r"<img[^>]*src=\"(?!data:)", body)


def execute(name: str, folder: Path) -> tuple[nbformat.NotebookNode, dict[str, list[Any]]]:
    """A notebook, executed in a folder where the others lie, too, and the outputs of its cells by their ids."""
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, folder)
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    assert all(output.output_type != "error" for cell in outputs.values() for output in cell)
    return notebook, outputs


def said(outputs: list[Any]) -> str:
    """What a cell printed, and the text of what it shows."""
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_quickstart_tells_its_story(own: Settings, tmp_path: Path) -> None:
    notebook, outputs = execute("quickstart", tmp_path)
    (live,) = outputs["launch"]
    kinds = set(live["data"])
    assert {"application/vnd.imgcls.run+json", "image/png", "text/html", "text/plain"} <= kinds
    assert "epoch 4 of 4" in live["data"]["text/plain"]  # brought up to date by `wait`
    assert "test digits are right" in "".join(output.get("text", "") for output in outputs["model"])
    assert "<svg" in outputs["compare"][0]["data"]["text/html"]
    shown = [output.data for found in outputs.values() for output in found if "data" in output]
    galleries = [data for data in shown if IMAGES_TYPE in data]  # samples and mistakes: live, and as pictures for ever
    assert [data["text/html"].count("data:image/webp") > 0 for data in galleries] == [True, True]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("data:image/webp") == sum(data["text/html"].count("data:image/webp") for data in galleries) > 20
    assert page.count("data:image/png;base64") > 0  # the live cell's curves
    trained = [run for run in lab.runs() if run.view.kind is RunKind.TRAIN]
    first, second = sorted(trained, key=lambda run: run.view.created_at)
    assert (first.name, second.name) == ("first digits", "in the kernel")
    assert first.state is second.state is RunState.SUCCEEDED
    best = first.view.best
    assert best is not None
    assert best.value > 0.9


def test_a_sweep_says_which_settings_are_best_and_how_much_is_chance(own: Settings, tmp_path: Path) -> None:
    _, outputs = execute("sweep", tmp_path)
    grid = next(sweep for sweep in lab.sweeps() if sweep.name == "rates and batches")
    assert grid.results()["state"].tolist() == ["succeeded"] * 4
    assert re.search(r"3 of 3 replicates finished: accuracy \d+\.\d ± \d+\.\d %", said(outputs["seeds"]))
    best = grid.results()["accuracy"].idxmax()
    assert said(outputs["best"]).count(f"lr={grid.results()['lr'][best]}") == 1
    assert "4 of 4 trials" in said(outputs["sweep"])  # brought up to date when it ended
    assert "<svg" in outputs["compare"][0]["data"]["text/html"]


def test_planted_mistakes_are_found_and_corrected(own: Settings, tmp_path: Path) -> None:
    _, outputs = execute("data", tmp_path)
    match = re.match(r"(\d+) of (\d+) planted mistakes are among (\d+) suspects", said(outputs["found"]))
    assert match is not None
    found, planted, suspects = map(int, match.groups())
    print(f"{found} of {planted} planted mistakes are among {suspects} suspects (at least half)")
    assert planted == 30
    assert found >= planted / 2
    (run,) = lab.runs(name="with mistakes")
    assert len(lab.dataset(run.view.root).revisions()) > 0
    assert said(outputs["retrain"])


@pytest.mark.slow
def test_a_fork_goes_on_to_the_last_bit(own: Settings, tmp_path: Path) -> None:
    _, outputs = execute("fork", tmp_path)
    assert said(outputs["exact"]).strip().endswith("\nthe same bits")
    parent, longer, slower = (
        lab.runs(name=name)[0] for name in ("digits", "digits, to 6 epochs", "from epoch 2, slower")
    )
    assert [run.view.fork_epoch for run in (parent, longer, slower)] == [None, 4.0, 2.0]
    assert re.findall(r"\(from epoch (\d)\)", said(outputs["lineage"])) == ["4", "2"]
    assert "<svg" in outputs["compare"][0]["data"]["text/html"]


@pytest.mark.slow
def test_ones_own_photographs_are_learnt_and_the_misplaced_one_is_found(own: Settings, tmp_path: Path) -> None:
    _, outputs = execute("photos", tmp_path)
    (run,) = lab.runs(name="places")
    best = run.view.best
    assert best is not None
    assert best.value > 0.9
    suspects = lab.dataset("photographs").problems("label_error", n=None).frame
    assert "beach/IMG_0500.jpg" in {name for names in suspects["names"] for name in names}
    assert "copy 1" in said(outputs["audit"])
    assert "forest" in said(outputs["use"])


def test_a_batch_of_notebooks_is_queued_and_compared(own: Settings, tmp_path: Path) -> None:
    _, outputs = execute("batch", tmp_path)
    runs = lab.runs(project="batch")
    assert {run.view.kind for run in runs} == {RunKind.NOTEBOOK}
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert "succeeded" in said(outputs["results"])
    assert said(outputs["executed"]).count("notebook.ipynb") == 2


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
    assert not any("application/vnd.imgcls.run+json" in output.get("data", {}) for output in shown["train"])
    context.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_ray_of_this_machine_trains_and_everything_ends(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # by default it is on where this user once had a token
    there = Settings(home=str(tmp_path / "cluster"))  # the notebook has a home of its own
    try:
        _, outputs = execute("cluster", tmp_path)
        assert not client.lives(there)
    finally:
        client.stop(there, stop_runs=True)
    findings = said(outputs["doctor"])
    assert re.search(r"^ray +ok +Ray .* answers", findings, re.MULTILINE)
    assert re.search(r"^shared home +ok ", findings, re.MULTILINE)
    assert not re.search(r"^[\w ]+ wrong ", findings, re.MULTILINE), findings
    with Store.open(there) as store:
        runs = store.runs.list(limit=10).items
        trained = [run for run in runs if run.kind is RunKind.TRAIN]
        assert [run.state for run in runs] == [RunState.SUCCEEDED] * 4  # one alone, a sweep and its two trials
        assert {run.host for run in trained} == {"ray"}
    alone = next(run for run in trained if run.name == "over Ray")
    assert f"{alone.id}-001" in said(outputs["where"])
    assert "2 of 2 trials" in said(outputs["sweep"])
