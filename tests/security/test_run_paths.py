"""What a run's folder names stays in that folder: events, links, pipes, huge files, and what a deletion removes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imgcls_lab import run_layout, run_paths
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_handle import Run
from imgcls_lab.batch.event_forwarder import training_folders
from imgcls_lab.errors import ConfigError, NotFoundError
from imgcls_lab.events import CheckpointSaved, EpochEnded, EventWriter, _summed, read_events
from imgcls_lab.schemas import BoardRequest, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts, rebuild, run_files
from imgcls_lab.store.folder_rows import read_info
from imgcls_lab.store.ingest import ingest
from imgcls_lab.tensorboards import serve
from imgcls_lab.tensorboards.registry import BoardRegistry

OUT = ("/etc", "..", "../other", "checkpoints/../../other", "/", "", ".", "~", "checkpoints//etc", "checkpoints/./x",
       "checkpoints/..", "checkpoints/\0", "checkpoints\\x", "checkpoints", "reports/x", "plugins/x", "checkpoints/a/b",
       "trainings/../checkpoints/x", "trainings/01/../x", "checkpoints/" + "x" * 2000, "/etc/passwd")  # fmt: skip


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=str(home))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings, migrate=True) as store:
        yield store


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder that no run names: 100,000 bytes of somebody else."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "diary.txt").write_bytes(b"x" * 100_000)
    return folder


@pytest.fixture
def live(store: Store) -> Callable[..., tuple[str, Path]]:
    """A run that trains: its id and folder."""

    def begin(**config: Any) -> tuple[str, Path]:
        request = SubmitRequest(config={"root": "/data/digits", "model_flavour": "tiny", **config})
        run_id = store.runs.submit(request).id
        with store.database.write() as session:
            assert attempts.claim(session, "test-host", "test", lambda run: [f"cpu:{run.number}"]) is not None
        return run_id, store.settings.run_dir(run_id)

    return begin


def lines(folder: Path, *events: dict[str, Any]) -> None:
    """Events as anything can write them, with right sums."""
    with (folder / "events-001.jsonl").open("ab") as file:
        for event in events:
            file.write(_summed(json.dumps({"v": 1, "attempt": 1, "t": time.time(), **event}).encode()))


def checkpoint(seq: int, step: int, folder: str, **more: Any) -> dict[str, Any]:
    return {"seq": seq, "type": "checkpoint", "step": step, "epoch": 1, "folder": folder, **more}


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_path_that_leads_out_is_no_event(store: Store, live: Callable[..., tuple[str, Path]], secret: Path) -> None:
    """Each such line is counted as damaged, and the run goes on."""
    run_id, folder = live()
    good = "checkpoints/a001-s00000005"
    (folder / good).mkdir(parents=True)
    (folder / good / "model.safetensors").write_bytes(b"m" * 300)
    bad = [*OUT, str(secret), os.path.relpath(secret, folder)]
    lines(folder, *(checkpoint(n, n, path) for n, path in enumerate(bad, 1)))
    reports = [path for path in bad if path != "reports/x"] + ["reports/../x", "checkpoints/x"]
    lines(
        folder,
        *({"seq": 100 + n, "type": "epoch", "step": 1, "epoch": 1, "seconds": 1, "values": {}, "report": path}
          for n, path in enumerate(reports)),
        checkpoint(200, 4, good, links=["../../x"]),
        checkpoint(201, 4, good, links=["last"] * 1000),
        checkpoint(300, 5, good, links=["last"]),
    )  # fmt: skip
    assert ingest(store.database, store.settings, run_id, 1)
    run = store.runs.get(run_id)
    assert [(c.name, c.size, c.links) for c in run.checkpoints] == [("a001-s00000005", 300, ["last"])]
    assert "damaged" in (run.message or "")
    seen, _ = read_events(folder / "events-001.jsonl")
    assert [event.seq for event in seen] == [300]
    print(f"{len(bad) + len(reports) + 2} events that name a path outside were refused")


def test_the_engine_cannot_write_such_an_event() -> None:
    for path in OUT:
        with pytest.raises(ValidationError):
            CheckpointSaved(step=1, epoch=1, folder=path)
        if path != "reports/x":
            with pytest.raises(ValidationError):
                EpochEnded(step=1, epoch=1, seconds=1, values={}, report=path)
    CheckpointSaved(step=1, epoch=1, folder="trainings/01-1f2e3d4c/checkpoints/a001-s00000001", links=("epoch-0003",))


def test_a_checkpoint_that_is_a_link_is_none(store: Store, live: Callable[..., tuple[str, Path]], secret: Path) -> None:
    run_id, folder = live()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/a001-s00000001").symlink_to(secret)
    (folder / "checkpoints/a001-s00000002").mkdir()
    (folder / "checkpoints/a001-s00000002/inner").symlink_to(secret)
    lines(folder, *(checkpoint(n, n, f"checkpoints/a001-s0000000{n}") for n in (1, 2)))
    ingest(store.database, store.settings, run_id, 1)
    assert [(c.name, c.size) for c in store.runs.get(run_id).checkpoints] == [("a001-s00000002", 0)]
    (folder / "config.json").write_text(json.dumps(store.runs.get(run_id).config))
    assert [(c.name, c.size) for c in RunFolder(folder).run().checkpoints] == [("a001-s00000002", 0)]


def test_a_link_to_a_folder_outside_counts_only_where_the_config_says_so(
    store: Store, live: Callable[..., tuple[str, Path]], tmp_path: Path, secret: Path
) -> None:
    for place, sizes in ((tmp_path / "big", [7]), (None, [])):
        run_id, folder = live(**({"ckpt_dir": str(place)} if place else {}))
        real = (place or secret) / run_id
        (real / "a001-s00000001").mkdir(parents=True)
        (real / "a001-s00000001/model.safetensors").write_bytes(b"m" * 7)
        folder.mkdir(exist_ok=True)
        (folder / "checkpoints").symlink_to(real)
        lines(folder, checkpoint(1, 1, "checkpoints/a001-s00000001"))
        ingest(store.database, store.settings, run_id, 1)
        assert [c.size for c in store.runs.get(run_id).checkpoints] == sizes


def test_a_walk_ends_however_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "run/checkpoints"
    deep.mkdir(parents=True)
    (deep / "loop").symlink_to("..")
    os.mkfifo(deep / "pipe")
    inner = deep
    for _ in range(40):
        inner = inner / "d"
        inner.mkdir()
        (inner / "f").write_bytes(b"x")
    assert run_paths.size(tmp_path / "run", "checkpoints") == run_paths.MAX_DEPTH - 1
    monkeypatch.setattr(run_paths, "MAX_FILES", 5)
    assert run_paths.size(tmp_path / "run", "checkpoints") <= 5
    began = time.monotonic()
    monkeypatch.setattr(run_paths, "MAX_FILES", 10**9)
    monkeypatch.setattr(run_paths, "MAX_SECONDS", 0.0)
    assert run_paths.size(tmp_path / "run", "checkpoints") <= 1
    assert time.monotonic() - began < 1


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────
NAMES = ("run.json", "config.json", "manifest.json", "output.log", "events-001.jsonl", "reports/epoch-0001.json",
         "reports/test.json", "notebook.ipynb", "trials.json", "desired", "heartbeat", "owner.json", "exit-001.json",
         "predictions/epoch-0001.npz")  # fmt: skip


def plant(path: Path, kind: str, target: Path) -> None:
    """Something that is no plain file under the name of one."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "chain":
        (path.parent / "one").symlink_to(target)
        path.symlink_to("one")
    else:
        path.symlink_to({"link": os.path.relpath(target, path.parent), "device": "/dev/zero"}.get(kind, target))


def test_no_file_of_a_run_is_read_through_a_link_a_pipe_or_a_linked_folder(tmp_path: Path, secret: Path) -> None:
    tried = 0
    for name in NAMES:
        for kind in ("link", "absolute link", "chain", "pipe", "device", "folder"):
            folder = tmp_path / f"run-{tried}"
            path = folder / name
            path.parent.mkdir(parents=True)
            plant(path, kind, secret / "diary.txt")
            with pytest.raises(OSError):
                run_paths.read_plain(folder, name)
            tried += 1
        if "/" in name:
            folder = tmp_path / f"run-{tried}"
            folder.mkdir()
            (secret / Path(name).name).write_text("{}")
            (folder / Path(name).parent).symlink_to(secret)
            with pytest.raises(OSError):
                run_paths.read_plain(folder, name)
            tried += 1
    link = tmp_path / "linked"
    link.symlink_to(secret)
    with pytest.raises(OSError):
        run_paths.read_plain(link, "diary.txt")
    print(f"{tried + 1} ways to read another file through a run's folder were refused")


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "trainings/01/predictions").mkdir(parents=True)
    (run / "trainings/01/predictions/epoch-0001.npz").write_bytes(b"p")
    (run / "predictions").symlink_to("trainings/01/predictions")
    (run / "trainings/01/up").symlink_to("../../trainings/01")
    (run / "out").symlink_to("trainings/../../run/predictions")
    assert run_paths.read_plain(run, "predictions/epoch-0001.npz") == b"p"
    assert run_paths.read_plain(run, "trainings/01/up/predictions/epoch-0001.npz") == b"p"
    assert run_paths.is_folder(run, "trainings/01/up")
    with pytest.raises(OSError):  # it comes back, but it was outside
        run_paths.read_plain(run, "out/epoch-0001.npz")
    (run / "loop").symlink_to("loop")
    with pytest.raises(OSError):
        run_paths.read_plain(run, "loop")


def test_a_notebooks_checkpoints_are_found_in_its_ckpt_dir_and_nowhere_else(tmp_path: Path, secret: Path) -> None:
    run = tmp_path / "runs/20260101-000000-abcdef"
    training = run / "trainings/01-1f2e3d4c"
    training.mkdir(parents=True)
    outside = run_layout.elsewhere({"ckpt_dir": str(tmp_path / "big")}, run)
    real = run_layout.external_folder(str(tmp_path / "big"), training)
    (real / "a001-s00000001").mkdir(parents=True)
    (training / "checkpoints").symlink_to(real)
    (run / "checkpoints").symlink_to("trainings/01-1f2e3d4c/checkpoints")
    for name in ("checkpoints/a001-s00000001", "trainings/01-1f2e3d4c/checkpoints/a001-s00000001"):
        assert run_paths.is_folder(run, name, outside)
        assert not run_paths.is_folder(run, name)
    (real / "a001-s00000002").symlink_to(secret)
    (real / "a001-s00000003").symlink_to("../../../secret")
    (real / "a001-s00000004").symlink_to(real / "a001-s00000001")  # absolute, and inside
    found = [n for n in range(1, 5) if run_paths.is_folder(run, f"checkpoints/a001-s0000000{n}", outside)]
    assert found == [1, 4]


def test_a_folder_that_is_exchanged_while_it_is_read_leads_nowhere(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    (run / "reports").mkdir(parents=True)
    (run / "reports/diary.txt").write_text("mine")
    real, calls = os.open, []

    def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if path == "diary.txt":  # at the last moment
            (run / "reports").rename(run / "gone")
            (run / "reports").symlink_to(secret)
            calls.append(path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opened)
    assert run_paths.read_plain(run, "reports/diary.txt") == b"mine"
    assert calls


def test_a_huge_and_a_deep_file_are_refused_and_stop_nobody(
    store: Store, live: Callable[..., tuple[str, Path]]
) -> None:
    run_id, folder = live()
    with (folder / "manifest.json").open("wb") as file:
        file.truncate(2**40)
    assert store.runs.get(run_id).manifest is None
    (folder / "manifest.json").write_text("[" * 1_000_000)
    assert store.runs.get(run_id).manifest is None
    (folder / "run.json").write_text('{"a":' * 500_000)
    assert read_info(folder) == {}


def test_logs_and_reports_are_not_read_through_a_linked_folder(
    store: Store, live: Callable[..., tuple[str, Path]], secret: Path
) -> None:
    run_id, folder = live()
    (secret / "epoch-0009.json").write_text("{}")
    (folder / "reports").symlink_to(secret)
    (folder / "output.log").symlink_to(secret / "diary.txt")
    for epoch in (None, 9):
        with pytest.raises(NotFoundError):
            store.runs.report(run_id, epoch)
    with pytest.raises(NotFoundError):
        store.runs.log(run_id)


def test_the_best_checkpoint_is_not_somebody_elses(
    store: Store, live: Callable[..., tuple[str, Path]], secret: Path
) -> None:
    run_id, folder = live()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/best").symlink_to(secret)
    with pytest.raises(NotFoundError):
        _ = Run(run_id, store=store).best_checkpoint
    (folder / "checkpoints/a001-s00000001").mkdir()
    (folder / "checkpoints/best").unlink()
    (folder / "checkpoints/best").symlink_to("a001-s00000001")
    assert Run(run_id, store=store).best_checkpoint == folder / "checkpoints/best"


def test_a_training_that_is_a_link_is_not_part_of_a_notebooks_run(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    for training in (other, run / "trainings/01-aaaaaaaa"):
        training.mkdir(parents=True)
        (training / "config.json").write_text("{}")
    (run / "trainings/02-bbbbbbbb").symlink_to(other)
    assert [path.name for path in training_folders(run)] == ["01-aaaaaaaa"]
    shutil.move(run / "trainings", tmp_path / "moved")
    (run / "trainings").symlink_to(tmp_path / "moved")
    assert training_folders(run) == []


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_attempt_cuts_no_file_that_a_planted_link_names(tmp_path: Path, secret: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "events-002.jsonl").symlink_to(secret / "diary.txt")
    with pytest.raises(OSError):
        EventWriter(run, 2)
    assert (secret / "diary.txt").stat().st_size == 100_000


def test_a_checkpoints_checksums_hash_nothing_else(tmp_path: Path, secret: Path) -> None:
    from imgcls_lab.engine.checkpointing.checkpoint import CHECKSUMS, damage

    folder = tmp_path / "a001-s00000001"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(secret / "diary.txt")
    digest = hashlib.sha256(b"x" * 100_000).hexdigest()
    for name in (str(secret / "diary.txt"), "../secret/diary.txt", "link", "pipe", "", ".", "/dev/zero"):
        (folder / CHECKSUMS).write_text(json.dumps({name: digest}))
        assert damage(folder) is not None, name


def test_a_sweeps_study_is_not_written_into_another_database(tmp_path: Path) -> None:
    from imgcls_lab.batch.optuna_study import Study
    from imgcls_lab.schemas import SweepRequest

    other, folder = tmp_path / "other.db", tmp_path / "sweep"
    sqlite3.connect(other).execute("CREATE TABLE mine (x)").connection.close()
    before = other.read_bytes()
    folder.mkdir()
    (folder / "study.db").symlink_to(other)
    request = SweepRequest.model_validate({"base": {"root": "/data"}, "space": {"lr": {"values": [0.1, 0.2]}}})
    with pytest.raises(OSError):
        Study(folder, request)
    assert other.read_bytes() == before
    (folder / "study.db").unlink()
    assert len(Study(folder, request).trials()) == 2


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard", "reports", "predictions", "failure", "plugins"])
def test_an_attempt_writes_through_no_planted_link(name: str, tmp_path: Path, secret: Path) -> None:
    """With such a link, `prune` and `sweep` would delete checkpoints of another run."""
    from imgcls_lab.config import TrainConfig
    from imgcls_lab.engine.distributed.process_group import ProcessGroup
    from imgcls_lab.engine.training.resolve import _make_folders

    run, victim = tmp_path / "run", secret / ".new-a001-s00000001"
    run.mkdir()
    victim.mkdir()
    (run / name).symlink_to(secret)
    group = ProcessGroup(rank=0, world_size=1)
    for config in ({}, {"ckpt_dir": str(tmp_path / "big"), "tb_root": str(tmp_path / "boards")}):
        with pytest.raises(ConfigError) as refused:
            _make_folders(TrainConfig(root=str(tmp_path / "data"), **config), run, group)
        assert refused.value.reason == "link_in_run_folder"
    assert victim.is_dir()


def test_the_daemon_makes_no_runs_folder_where_a_link_has_its_name(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "run").symlink_to(secret)
    with pytest.raises(OSError):
        run_paths.make_folder(tmp_path / "run")


# ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────
def ended(store: Store, run_id: str) -> None:
    from imgcls_lab.events import DesiredState

    store.runs.set_desired_state(run_id, DesiredState.STOP)


def test_a_deletion_never_leaves_the_runs_folder(store: Store, tmp_path: Path, secret: Path) -> None:
    """Links to other folders, also to those that carry the run's id as a link of before did."""
    for name in ("checkpoints", "tensorboard", "reports", "anything"):
        run_id = store.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "tiny"})).id
        folder = store.settings.run_dir(run_id)
        folder.mkdir(exist_ok=True)
        named = secret / run_id  # its last part is the id, which was all that was asked
        named.mkdir()
        (named / "precious").write_text("x")
        (folder / name).symlink_to(named)
        (folder / "nested").mkdir()
        (folder / "nested/link").symlink_to(secret)
        ended(store, run_id)
        store.runs.delete(run_id)
        assert not os.path.lexists(folder)
        assert (named / "precious").exists()
    assert (secret / "diary.txt").stat().st_size == 100_000
    assert [path.name for path in store.settings.runs_dir.iterdir()] == []


def test_the_checkpoints_of_another_run_survive_the_deletion_of_one_that_links_there(store: Store) -> None:
    ids = [store.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "tiny"})).id for _ in range(2)]
    mine, other = (store.settings.run_dir(run_id) for run_id in ids)
    (other / "checkpoints" / ids[0]).mkdir(parents=True)
    (mine / "checkpoints").symlink_to(other / "checkpoints" / ids[0])
    ended(store, ids[0])
    store.runs.delete(ids[0])
    assert (other / "checkpoints" / ids[0]).is_dir()


def test_a_run_whose_folder_is_a_link_is_deleted_without_what_it_leads_to(store: Store, secret: Path) -> None:
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "tiny"})).id
    folder = store.settings.run_dir(run_id)
    ended(store, run_id)
    shutil.rmtree(folder)
    folder.symlink_to(secret)
    store.runs.delete(run_id)
    assert not os.path.lexists(folder)
    assert (secret / "diary.txt").exists()
    assert list(store.settings.runs_dir.iterdir()) == []


def test_a_deletion_that_was_cut_off_is_finished_by_rebuild_and_stays_inside(
    settings: Settings, store: Store, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "tiny"})).id
    folder = store.settings.run_dir(run_id)
    (secret / run_id).mkdir()
    (folder / "checkpoints").symlink_to(secret / run_id)
    ended(store, run_id)
    with monkeypatch.context() as patch:
        patch.setattr(run_files, "remove_folder", lambda *_: None)
        store.runs.delete(run_id)
    trash = settings.runs_dir / f".deleted-{run_id}"
    trash.mkdir()
    (trash / "rest").write_text("of an earlier try")
    rebuild(settings)
    assert not folder.exists()
    assert not trash.exists()
    assert (secret / run_id).is_dir()


# ── TensorBoard ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_tensorboard_shows_no_folder_that_a_link_in_a_run_leads_to(
    settings: Settings, store: Store, tmp_path: Path, secret: Path
) -> None:
    (secret / "events.out.tfevents.1").write_bytes(b"x")
    config = {"root": "/data", "model_flavour": "tiny"}
    ids = [
        store.runs.submit(SubmitRequest(name=name, config={**config, **more})).id
        for name, more in (("good", {}), ("linked", {}), ("named", {"tb_root": str(tmp_path / "boards")}))
    ]
    good, linked, named = (settings.run_dir(run_id) for run_id in ids)
    (good / "tensorboard").mkdir()
    (good / "tensorboard/deeper").symlink_to(secret)
    (good / "tensorboard/events.out.tfevents.2").symlink_to(secret / "events.out.tfevents.1")
    os.mkfifo(good / "tensorboard/events.out.tfevents.3")
    (good / "tensorboard/events.out.tfevents.4").write_bytes(b"x")
    (linked / "tensorboard").symlink_to(secret)
    (tmp_path / "boards" / ids[2]).mkdir(parents=True)
    (tmp_path / "boards" / ids[2] / "events.out.tfevents.5").write_bytes(b"x")
    (named / "tensorboard").symlink_to(tmp_path / "boards" / ids[2])
    boards = BoardRegistry(settings, store)
    board = boards.choose(BoardRequest(run_ids=ids))
    logdir = boards.logdir(board.id)
    assert sorted(path.name for path in logdir.iterdir()) == ["good", "named"]
    found = [file for _, files in serve.event_folders(str(logdir)) for file in files]
    assert sorted(map(os.path.basename, found)) == ["events.out.tfevents.4", "events.out.tfevents.5"]
    assert serve.event_files(str(good / "tensorboard")) == [str(good / "tensorboard/events.out.tfevents.4")]


def test_only_linux_and_macos_have_what_this_needs() -> None:
    assert os.open in os.supports_dir_fd
    assert os.readlink in os.supports_dir_fd
    assert os.scandir in os.supports_fd
    assert shutil.rmtree.avoids_symlink_attacks
    assert sys.platform in {"linux", "darwin"}
    assert run_layout.external_folder("/x/../y", Path("/h/runs/r")) == Path("/y/r")
