"""A home that the version with revision 0005 filled opens today: everything is there, and what was stopped goes on.

`home_0005.tar.xz` holds its folders, `../store/filled_0005.json` its database. Event files, caches and most checkpoints
were left out; the run `stopped` has its last one.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from safetensors.torch import load_file

import imgcls_lab as lab
from imgcls_lab import cpu
from imgcls_lab.api import context
from imgcls_lab.batch.optuna_study import Study
from imgcls_lab.batch.sweep_view import request_of
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import FORMER_FIELDS
from imgcls_lab.engine import train
from imgcls_lab.errors import ConflictError, ImgclsError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.identity import host_name
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuilding
from tests.acceptance.rebuilding import differences, dump, knowable
from tests.store import old_rows

# What the run `stopped` gave with the version of that day where nobody stopped it, and on which kind of processor.
UNDISTURBED = "9fa9a4dcf96cfcd1b5d32e53d68c2db4385fb7227dce58b143b1ff77662baeea"
PROCESSOR = "x86_64 avx2 avx512f avx512_bf16"
OLD_FIELDS = {
    "gradient_accumulation_steps": 2, "num_workers": 1, "num_processes": 1, "early_stopping_patience": 5,
    "random_erasing": 0.25,
}  # fmt: skip


@pytest.fixture
def now(home: Path) -> dict[str, str]:
    """What stands in the files and rows instead of that day's names."""
    return {"HOME": str(home), "PYTHON": sys.executable, "HOST": host_name()}


@pytest.fixture
def rows(home: Path, now: dict[str, str]) -> old_rows.Rows:
    """The home as it was left, with its database, not opened yet."""
    with tarfile.open(Path(__file__).parent / "home_0005.tar.xz") as packed:
        packed.extractall(home, filter="data")
    for path in home.rglob("*.json"):
        if not path.is_symlink():
            path.write_text(old_rows.as_of_now(path.read_text(encoding="utf-8"), now), encoding="utf-8")
    found = old_rows.read(**now)
    old_rows.fill(Settings(), found)
    return found


@pytest.fixture
def store(rows: old_rows.Rows) -> Iterator[Store]:
    with Store.open(Settings(), migrate=True) as store:
        yield store


@pytest.fixture
def own() -> Iterator[None]:
    yield
    client.stop(Settings(), stop_runs=True)
    context.close()


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def weights(checkpoint: Path) -> str:
    """SHA-256 (hex) of all weights by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(checkpoint / "model.safetensors").items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def named(rows: old_rows.Rows) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows["runs"]}


def test_everything_is_there(rows: old_rows.Rows, store: Store, home: Path) -> None:
    found = {run.id: run for run in store.runs.list(limit=100).items}
    assert found.keys() == {row["id"] for row in rows["runs"]}
    projects = {row["id"]: row["name"] for row in rows["projects"]}
    for row in rows["runs"]:
        run = found[row["id"]]
        seen = (run.kind, run.name, run.state, run.notes, run.priority, run.step, run.project)
        assert seen == (
            *(row[key] for key in ("kind", "name", "state", "notes", "priority", "step")),
            projects[row["project_id"]],
        )
        assert run.latest == row["latest"]
    points = store.metrics.series([row["id"] for row in rows["runs"]], None, max_points=100_000)
    assert sum(len(series.step) for series in points.series) == len(rows["metrics"])
    for collection, name in (
        (store.projects, "projects"),
        (store.configs, "configs"),
        (store.datasets, "datasets"),
        (store.models, "models"),
    ):
        assert {item.name for item in collection.list()} == {row["name"] for row in rows[name]}
    assert store.datasets.list()[0].images == rows["datasets"][0]["images"]
    config = store.configs.named("all renamed")
    assert config is not None
    assert config.config.items() >= OLD_FIELDS.items()
    assert {alert.id for alert in store.alerts.list(limit=100)} == {row["id"] for row in rows["alerts"]}
    notebook = lab.run(named(rows)["notebook"]["id"])
    assert notebook.view.payload["parameters"]["workers"] == 0, "a notebook's parameters have the notebook's names"
    assert notebook.notebook.is_file()
    (copy,) = (home / "backups").iterdir()
    assert copy.name.startswith("imgcls-0005-")
    show("runs, points, alerts of yesterday", f"{len(found)}, {len(rows['metrics'])}, {len(rows['alerts'])}", "all")
    context.close()


def test_sweeps_are_there_with_their_trials(rows: old_rows.Rows, store: Store) -> None:
    done = lab.Sweep(named(rows)["grid"]["id"]).view
    assert [trial.params for trial in done.trials] == [
        {"gradient_accumulation_steps": steps, "random_erasing": erasing} for steps in (1, 2) for erasing in (0.0, 0.3)
    ]
    assert [(trial.state, trial.value is not None) for trial in done.trials] == [("succeeded", True)] * 4
    half = lab.Sweep(named(rows)["half a sweep"]["id"]).view
    assert all(
        trial.params.keys() == half.space.keys() == {"random_erasing", "gradient_accumulation_steps"}
        for trial in half.trials
    )
    assert half.holes == len(half.trials) == 3
    context.close()


def test_the_studies_of_sweeps_know_their_trials(rows: old_rows.Rows, store: Store) -> None:
    """Under the former names each cell of the grid would be asked for again, and a trial under way be given up."""
    names = {"random_erasing", "gradient_accumulation_steps"}
    for sweep in ("grid", "half a sweep"):
        run = store.runs.get(named(rows)[sweep]["id"])
        study = Study(store.settings.run_dir(run.id), request_of(run))
        there = study.trials()
        assert len(there) == {"grid": 4, "half a sweep": 3}[sweep]
        assert all(trial.params.keys() == names for trial in there)
        assert all(trial.system_attrs.get("fixed_params", trial.params).keys() == names for trial in there)
        under_way = len(study.trials(TrialState.RUNNING))
        assert len(study.running()) == under_way
        show(f"trials of “{sweep}”, under way", f"{len(there)}, {under_way}", "as it was left")


def test_folders_alone_give_the_same_rows(rows: old_rows.Rows, store: Store, home: Path, tmp_path: Path) -> None:
    """What `db rebuild` makes of the folders of that day, from nothing."""
    before = dump(store)
    other = Settings(home=str(home), db_url=f"sqlite:///{tmp_path / 'rebuilt.db'}")
    with Store.open(other, migrate=True) as rebuilt:
        report = rebuilding.rebuild_all(rebuilt.database, other, mine=True)  # that version signed no folder
        assert not report.problems
        after = dump(rebuilt)
    for all_rows in (before, after):
        del all_rows["artifacts"]  # most of the checkpoints were left out
        for row in all_rows["runs"].values():
            del row["python"]  # an interpreter is never taken from a folder without a signature
    trained = [row for row in after["runs"].values() if row["best_values"]]
    assert trained, "a rebuild reads the best values that the database of that day did not keep"
    assert all(row["size"] and row["repetition"] for row in trained)
    for row in (*before["runs"].values(), *after["runs"].values()):
        del row["size"], row["best_values"], row["repetition"]
    found = differences(knowable(before), knowable(after))
    assert found == []
    show("rows of a rebuild that differ", str(len(found)), "0")


def test_no_file_keeps_a_former_field_from_being_read(rows: old_rows.Rows, home: Path) -> None:
    """The files are of that day: without their upgrade each config is refused."""
    saved = sorted(home.glob("runs/*/config.json"))
    of_trainings = [path.read_bytes() for path in saved if path.read_bytes().strip() != b"{}"]
    assert len(of_trainings) > 8
    for text in of_trainings:
        assert FORMER_FIELDS.keys() <= json.loads(text).keys()
        assert TrainConfig.parse_saved(text).root == str(home / "datasets" / "digits")


def test_a_key_of_that_day_is_not_taken_for_another_run(rows: old_rows.Rows, store: Store) -> None:
    old = named(rows)["finished"]
    config = store.runs.get(old["id"]).config
    with pytest.raises(ConflictError):
        store.runs.submit(SubmitRequest(config=config, name="finished", idempotency_key=old["idempotency_key"]))


def test_the_stopped_run_goes_on_to_the_bit_and_queued_ones_start(
    rows: old_rows.Rows, store: Store, own: None, home: Path, tmp_path: Path
) -> None:
    stopped = lab.run(named(rows)["stopped"]["id"])
    assert (stopped.state, stopped.view.resumable) == (RunState.STOPPED, True)
    of_a_plugin = lab.run(named(rows)["failed"]["id"]).resume()
    stopped.resume()
    client.start(Settings())
    stopped.wait(timeout=400)
    for name in ("queued 1", "queued 2"):
        assert lab.run(named(rows)[name]["id"]).wait(timeout=200).state is RunState.SUCCEEDED
    assert (stopped.state, stopped.view.attempt, stopped.view.desired_state) == (
        RunState.SUCCEEDED,
        2,
        DesiredState.RUN,
    )
    assert stopped.view.attempts[1].resume_step == named(rows)["stopped"]["step"]

    with pytest.raises(ImgclsError):
        of_a_plugin.wait(timeout=200)
    assert "docs/training.md" in str(of_a_plugin.view.message), "it imports modules by the names of that day"

    threads = json.loads((stopped.folder / "manifest.json").read_text())["threads"]
    whole = tmp_path / "whole"
    train(stopped.config.with_changes(threads=threads, channels_last="on"), whole)  # as that day's "auto" was for it
    reached, undisturbed = (weights(folder / "checkpoints" / "last") for folder in (stopped.folder, whole))
    if cpu.arithmetic() != PROCESSOR:
        pytest.skip(f"The first half was computed on “{PROCESSOR}”, which rounds otherwise than “{cpu.arithmetic()}”.")
    show("resumed weights", reached[:12], f"{UNDISTURBED[:12]}, as that day's version gave undisturbed")
    assert undisturbed == UNDISTURBED
    assert reached == UNDISTURBED
