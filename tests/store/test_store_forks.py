"""Forks in the store: the checkpoint that is meant, one run a fork, its past by reference, and a parent that goes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from forked import CONFIG, fork, past, save, train
from store_steps import claim, epoch, feed, finish, points, started

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError, InputError, NotFoundError, StoreError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.forks import Fork
from imgcls_lab.planning.lr_schedules import LR_SCHEDULES, learning_rate
from imgcls_lab.planning.steps import ForkPoint, StepPlan
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas import BestMetric, ForkPreview, ForkRequest, RetrainRequest, RunEdit, SubmitRequest
from imgcls_lab.store import Store, forking, rebuild
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.working_folders import HELD


@pytest.fixture
def parent(store: Store) -> str:
    """A run of 3 epochs of 10 steps, with checkpoints at steps 10, 15 and 30."""
    run_id = store.runs.submit(SubmitRequest(config=CONFIG, name="digits")).id
    saved = [
        save(store, run_id, 1, 10, "best"),
        save(store, run_id, 1, 15, batch=5),
        save(store, run_id, 1, 30, "last"),
    ]
    curve = [started(total=30), *points(1, 10), epoch(1, 0.5), *points(11, 30), epoch(3, 0.4, best=False)]
    train(store, run_id, [*curve, *saved])
    return run_id


def test_a_fork_holds_all_that_it_needs_of_its_parent(store: Store, parent: str) -> None:
    child = store.runs.get(fork(store, parent, "best", lr=1e-4))
    folder = store.settings.run_dir(child.id)
    assert (child.name, child.parent_id, child.lineage, child.fork_step) == ("digits, from epoch 1", parent, parent, 10)
    assert (child.state, child.config["lr"], child.config["epochs"]) == (RunState.QUEUED, 1e-4, 3)
    assert (store.runs.get(parent).lineage, child.fork_epoch) == (parent, 1.0)
    assert store.runs.get(fork(store, parent, "step 15")).fork_epoch == 1.5
    said = Fork.of_folder(folder)
    assert said is not None
    assert (said.run, said.attempt, said.step, said.changes) == (parent, 1, 10, {"lr": 1e-4})
    assert [(each.attempt, each.until) for each in said.history] == [(1, 10)]
    weights = folder / "parent/a000-s00000010/model.safetensors"
    assert (
        weights.stat().st_ino
        == next(store.settings.run_dir(parent).glob("checkpoints/a001-s00000010/model*")).stat().st_ino
    )


@pytest.mark.parametrize(
    ("at", "step"), [("best", 10), ("last", 30), ("1", 10), ("epoch 1", 10), ("step 15", 15), ("a001-s00000015", 15)]
)
def test_a_checkpoint_is_named_by_its_link_epoch_step_or_name(store: Store, parent: str, at: str, step: int) -> None:
    assert store.runs.get(fork(store, parent, at, epochs=5)).fork_step == step


def test_the_same_fork_twice_is_the_same_run(store: Store, parent: str) -> None:
    first = fork(store, parent, "best", lr=1e-4)
    assert fork(store, parent, "epoch 1", lr=1e-4) == first
    claim(store)
    finish(store, first, 1, RunState.FAILED)
    assert fork(store, parent, "step 10", lr=1e-4) == first
    others = {
        fork(store, parent, "best", lr=1e-5),
        fork(store, parent, "step 15", lr=1e-4),
        fork(store, parent, "best"),
    }
    restarted = store.runs.fork(parent, ForkRequest(at="best", fields={"lr": 1e-4}, on_schedule="restart")).id
    assert len({first, restarted} | others) == 5
    assert store.runs.get(fork(store, parent, "last", epochs=5)).name == "digits, to 5 epochs"
    assert next(run.id for run in store.runs.lineage(first)) == parent
    assert len(store.runs.lineage(parent)) == 7


def test_what_cannot_be_forked_says_what_would_work(store: Store, parent: str) -> None:
    before = sorted(path.name for path in store.settings.runs_dir.iterdir())
    with pytest.raises(NotFoundError, match=r"It has epoch 1 \(best\), step 15, epoch 3 \(last\)"):
        fork(store, parent, "epoch 2")
    shutil.rmtree(store.settings.run_dir(parent) / "checkpoints/a001-s00000015")
    with pytest.raises(NotFoundError, match=r"It has epoch 1 \(best\), epoch 3 \(last\)"):
        fork(store, parent, "step 15")
    for fields, field in (({"epochs": 3}, "epochs"), ({"seed": 1, "epochs": 4}, "seed"), ({"root": "/b"}, "root")):
        with pytest.raises(ConfigError) as refused:
            fork(store, parent, "last", **fields)
        assert field in [problem.field for problem in refused.value.problems]
    waiting = store.runs.submit(SubmitRequest(config=CONFIG)).id
    with pytest.raises(ConflictError) as none:
        fork(store, waiting, "last")
    assert none.value.reason == "no_checkpoint"
    notebook = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload={"notebook": "a.ipynb"})).id
    with pytest.raises(ConflictError) as other:
        fork(store, notebook, "last")
    assert other.value.reason == "no_training"
    with pytest.raises(InputError):
        store.runs.submit(SubmitRequest(config=CONFIG, payload={"fork": {"run": parent}}))
    made = {waiting, notebook}
    assert sorted(path.name for path in store.settings.runs_dir.iterdir() if path.name not in made) == before


def test_a_preview_has_the_rates_that_a_fork_would_have_and_makes_nothing(store: Store, parent: str) -> None:
    before = sorted(path.name for path in store.settings.runs_dir.iterdir())

    def asked(at: str = "best", **fields: object) -> ForkPreview:
        return store.runs.fork_preview(parent, ForkRequest(at=at, fields=fields))

    assert asked() == ForkPreview(epoch=1.0, continued=None, restarted=None)  # how many images, its manifest says
    manifest = {"data": {"train_images": 320}, "processes": 1}
    (store.settings.run_dir(parent) / "manifest.json").write_text(json.dumps(manifest))
    found = asked(epochs=6, lr=0.01)
    assert found.continued is not None
    assert found.restarted is not None
    config = TrainConfig.parse({**CONFIG, "epochs": 6, "lr": 0.01})
    whole, rest = StepPlan(10, 10, 6), StepPlan(10, 10, 6, ForkPoint(10, 1, restart=True))
    schedule = LR_SCHEDULES[config.schedule]
    for curve, steps in ((found.continued, whole), (found.restarted, rest)):
        assert (curve.epoch[0], curve.epoch[-1]) == (1.0, 5.9)
        places = [round(epoch * 10) for epoch in curve.epoch]
        assert curve.lr == [learning_rate(schedule, config, place, steps) for place in places]
    assert found.continued.lr != found.restarted.lr
    halves = asked("step 15", batch_size=32, gradient_accumulation_steps=1, epochs=4)
    assert (halves.epoch, halves.continued and halves.continued.epoch[:2]) == (1.5, [1.5, 1.6])
    larger = asked("epoch 1", batch_size=64)
    assert larger.continued is not None
    assert larger.continued.epoch == pytest.approx([1 + place / 5 for place in range(10)])
    with pytest.raises(ConfigError):
        asked("last")
    with pytest.raises(NotFoundError):
        asked("epoch 2")
    assert (store.runs.list().total, sorted(path.name for path in store.settings.runs_dir.iterdir())) == (1, before)


def test_a_preview_knows_how_often_a_plateau_has_come(store: Store) -> None:
    config = {**CONFIG, "schedule": "plateau", "decay_rate": 0.5, "warmup_epochs": 0, "epochs": 4}
    run_id = store.runs.submit(SubmitRequest(config=config)).id
    saved = save(store, run_id, 1, 10, "last")
    state = store.settings.run_dir(run_id) / saved.folder / "training_state.json"
    tree = json.loads(state.read_text())
    tree["__pairs__"][0][1]["__pairs__"].append(["drops", 2])
    state.write_text(json.dumps(tree))
    train(store, run_id, [started(total=40), *points(1, 10), saved], RunState.STOPPED)
    manifest = {"data": {"train_images": 320}, "processes": 1}
    (store.settings.run_dir(run_id) / "manifest.json").write_text(json.dumps(manifest))
    found = store.runs.fork_preview(run_id, ForkRequest())
    assert found.continued is not None
    assert found.restarted is not None
    assert ({*found.continued.lr}, {*found.restarted.lr}) == ({0.25e-3}, {1e-3})


def test_the_past_is_read_from_the_parent_and_written_when_that_goes(store: Store, parent: str) -> None:
    child = fork(store, parent, "best")
    train(store, child, [started(10, 30), *points(11, 20), save(store, child, 1, 20, "last")])
    grandchild = fork(store, child, "last", epochs=4)
    assert past(store, child) == [*range(1, 11)]
    assert past(store, grandchild) == [*range(1, 21)]
    before = store.metrics.series([grandchild], None).inherited
    store.runs.delete(parent)
    assert past(store, grandchild) == [*range(1, 21)]
    store.runs.delete(child)
    assert store.metrics.series([grandchild], None).inherited == before
    assert store.runs.get(grandchild).parent_id is None
    weights = store.settings.run_dir(grandchild) / "parent/a000-s00000020/model.safetensors"
    assert f"{child}/checkpoints/a001-s00000020" in weights.read_text()
    assert [run.id for run in store.runs.lineage(grandchild)] == [grandchild]


def test_a_fork_that_gets_no_better_shows_its_parent_s_best(store: Store, parent: str) -> None:
    child = fork(store, parent, "last", epochs=5)
    claim(store)
    begun = started(30, 50).model_copy(update={"best": 0.5, "best_epoch": 1, "best_step": 10})
    feed(store, child, 1, begun, *points(31, 40), epoch(4, 0.3, best=False), save(store, child, 1, 40, "last"))
    assert store.runs.get(child).best == BestMetric(metric="accuracy", value=0.5, epoch=1)
    assert [run.id for run in store.runs.list(where="best>0.4", sort="best").items] == [child, parent]
    feed(store, child, 1, *points(41, 50), epoch(5, 0.6), save(store, child, 1, 50, "best", "last"))
    assert store.runs.get(child).best == BestMetric(metric="accuracy", value=0.6, epoch=5)
    finish(store, child, 1, RunState.STOPPED)
    store.runs.resume(child)
    claim(store)
    feed(store, child, 2, begun.model_copy(update={"resume_step": 40}))  # its own best is taken back
    assert store.runs.get(child).best == BestMetric(metric="accuracy", value=0.5, epoch=1)


@pytest.mark.parametrize("kind", ["fork", "retrain"])
def test_files_are_copied_while_others_write(
    store: Store, parent: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To another disk it takes minutes: SQLite has one writer at a time, PostgreSQL ends an idle transaction."""
    wrote = []

    def copy(source: Path, target: Path) -> None:
        with Store.open(store.settings) as other:
            wrote.append(other.runs.edit(parent, RunEdit(notes=f"{target.name}")).id)
        shutil.copyfile(source, target)

    monkeypatch.setattr("imgcls_lab.forks.link", copy)
    monkeypatch.setattr("imgcls_lab.store.retraining.link", copy)
    monkeypatch.setattr("imgcls_lab.store.database.BUSY_SECONDS", 1)
    (store.settings.run_dir(parent) / "checkpoints/best").symlink_to("a001-s00000010")
    child = fork(store, parent) if kind == "fork" else store.runs.retrain(parent, RetrainRequest()).id
    assert wrote
    assert store.runs.get(child).parent_id == parent
    assert (store.settings.run_dir(child) / ("parent.json" if kind == "fork" else "initial_model")).exists()
    assert not [path.name for path in store.settings.run_dir(child).iterdir() if path.name.startswith(".held")]


def test_two_that_ask_for_the_same_fork_at_once_get_one(
    store: Store, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[str] = []

    def fill(*given: Any) -> Fork:
        if not first:
            first.append("")
            first[0] = fork(store, parent)  # somebody else is faster
        return fill_folder(*given)

    fill_folder = forking.fill
    monkeypatch.setattr(forking, "fill", fill)
    assert fork(store, parent) == first[0]
    assert folders(store) == {parent, first[0]}


def test_a_folder_that_cannot_get_its_name_is_no_run(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = sqlite.runs.submit(SubmitRequest(config=CONFIG)).id
    train(sqlite, parent, [started(total=30), *points(1, 30), save(sqlite, parent, 1, 30, "best", "last")])

    def rename(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imgcls_lab.store.new_folders.os.rename", rename)
    with pytest.raises(StoreError, match="cannot be made: No space left"):
        fork(sqlite, parent, epochs=5)
    monkeypatch.undo()
    assert folders(sqlite) == {parent}
    assert [run.id for run in sqlite.runs.lineage(parent)] == [parent]


@pytest.mark.parametrize("at", ["copied", "moved"])
def test_a_fork_that_is_killed_leaves_no_folder(sqlite: Store, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of its files, and between the move of its folder and the commit."""
    parent = sqlite.runs.submit(SubmitRequest(config=CONFIG)).id
    train(sqlite, parent, [started(total=30), *points(1, 30), save(sqlite, parent, 1, 30, "best", "last")])
    code = (
        "import os\nfrom imgcls_lab import forks, store\nfrom imgcls_lab.settings import Settings\n"
        "from imgcls_lab.schemas import ForkRequest\nimport imgcls_lab.store.new_folders as new_folders\n"
        f"home = store.Store.open(Settings(home={str(sqlite.settings.home_path)!r}))\n"
        "def die(*_): os.kill(os.getpid(), 9)\n"
        "moved = os.rename\n"
        "def move(*places): moved(*places); die()\n"
        + ("forks.link = die\n" if at == "copied" else "new_folders.os.rename = move\n")
        + f"home.runs.fork({parent!r}, ForkRequest(at='best', fields={{'epochs': 5}}))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    left = folders(sqlite) - {parent}
    assert len(left) == 1

    daemon = ExecutorStore(sqlite.database, sqlite.settings, "host", "host-1", HeartbeatWatch(60.0))

    def look() -> None:
        daemon.remove_left_folders()
        for run_id in filter(is_run_id, left):
            with contextlib.suppress(OSError):
                daemon.take_in(run_id)

    look()
    assert folders(sqlite) == {parent, *left}  # its process may be beginning
    monkeypatch.setattr("imgcls_lab.working_folders.BEGINNING", -1.0)
    look()
    assert folders(sqlite) == {parent}
    assert [run.id for run in sqlite.runs.lineage(parent)] == [parent]
    assert fork(sqlite, parent, epochs=5) in folders(sqlite)


def test_a_daemon_leaves_a_fork_that_is_being_made_or_has_a_row(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = sqlite.runs.submit(SubmitRequest(config=CONFIG)).id
    train(sqlite, parent, [started(total=30), *points(1, 30), save(sqlite, parent, 1, 30, "best", "last")])
    monkeypatch.setattr("imgcls_lab.working_folders.BEGINNING", -1.0)
    daemon = ExecutorStore(sqlite.database, sqlite.settings, "host", "host-1", HeartbeatWatch(60.0))

    def fill(*given: Any) -> Fork:
        daemon.remove_left_folders()
        return fill_folder(*given)

    fill_folder = forking.fill
    monkeypatch.setattr(forking, "fill", fill)
    child = fork(sqlite, parent, epochs=5)
    held = sqlite.settings.run_dir(child) / HELD  # as a process leaves it that is killed after its commit
    held.touch()
    daemon.take_in(child)
    assert not held.exists()
    assert Fork.of_folder(sqlite.settings.run_dir(child)) is not None


def folders(store: Store) -> set[str]:
    return {path.name for path in store.settings.runs_dir.iterdir()}


def test_a_rebuild_takes_the_past_from_the_folder(sqlite: Store) -> None:
    parent = sqlite.runs.submit(SubmitRequest(config=CONFIG, name="digits")).id
    saved = save(sqlite, parent, 1, 10, "best", "last")
    train(sqlite, parent, [started(total=30), *points(1, 10), epoch(1, 0.5), saved])
    child = fork(sqlite, parent, "best", lr=1e-4)
    train(sqlite, child, [started(10, 30), *points(11, 20), save(sqlite, child, 1, 20, "last")])
    sqlite.runs.delete(parent)
    before = sqlite.metrics.series([child], None), sqlite.runs.get(child).payload
    sqlite.close()
    assert sqlite.database.file is not None
    sqlite.database.file.unlink()
    rebuild(sqlite.settings)
    with Store.open(sqlite.settings) as fresh:
        assert (fresh.metrics.series([child], None), fresh.runs.get(child).payload) == before
        assert (fresh.runs.get(child).lineage, fresh.runs.get(child).fork_step) == (parent, 10)


def test_a_deletion_that_is_killed_leaves_the_fork_whole(sqlite: Store) -> None:
    """Whenever the deleting process dies, the fork's past is there: from its parent, or its own."""
    home = str(sqlite.settings.home_path)
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05):
        parent = sqlite.runs.submit(SubmitRequest(config=CONFIG)).id
        train(sqlite, parent, [started(total=30), *points(1, 30), save(sqlite, parent, 1, 30, "best", "last")])
        child = fork(sqlite, parent, "best", epochs=5)
        sqlite.runs.set_desired_state(child, DesiredState.KILL)  # it must not be claimed for the next parent
        code = (
            "import sys\nfrom imgcls_lab.settings import Settings\nfrom imgcls_lab.store import Store\n"
            f"store = Store.open(Settings(home={home!r}))\nprint('ready', flush=True)\n"
            f"sys.stdin.readline()\nstore.runs.delete({parent!r})\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        assert past(sqlite, child) == [*range(1, 31)]
        assert (sqlite.settings.run_dir(child) / "parent/a000-s00000030/model.safetensors").is_file()
