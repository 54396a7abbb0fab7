"""`ckpt_dir` and `tb_root` lead into no folder of the home, of another run or of the data, whoever asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Api

import imgcls_lab as lab
from imgcls_lab import TrainConfig, output_folders, run_layout
from imgcls_lab.errors import ConfigError, ConflictError
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.api.conftest import few, idle, own

__all__ = ["few", "idle", "own"]

FIELDS = ("ckpt_dir", "tb_root")
OWN = ("", "runs", "executor", "cache", "datasets", "backups", "models", "scans", "notebooks", "tensorboard", "new")


def wrong_folders(settings: Settings, other: Path, root: Path, tmp_path: Path) -> list[str]:
    """Every way to name a folder that belongs to the home, to a run or to the data set."""
    home = settings.home_path
    (tmp_path / "to-home").symlink_to(home)
    (tmp_path / "to-runs").symlink_to(settings.runs_dir)
    (tmp_path / "to-run").symlink_to(other)
    (tmp_path / "to-data").symlink_to(root)
    (tmp_path / "chain").symlink_to(tmp_path / "to-run")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "to-b").symlink_to(tmp_path / "a/b")
    outside = tmp_path / "elsewhere/20260101-000000-abcdef"  # a run of another home, or of `train --out`
    (outside / "checkpoints").mkdir(parents=True, exist_ok=True)
    (outside / "config.json").write_text("{}")
    (outside / "events-001.jsonl").write_text("")
    return [
        *(str(home / name) for name in OWN),
        *(str(home / name / "deeper" / "still") for name in OWN),
        str(other), str(other / "checkpoints"), str(other / "checkpoints/a001-s00000001"), f"{other}/", f"{other}/.",
        f"{other}/../{other.name}", f"{home}/runs/../runs", f"{home}/nothing/../executor", f"/{home}", f"{home}//runs",
        str(home.parent), str(home.parent.parent), "/", f"{home}/..", os.path.relpath(other), os.path.relpath(home),
        *(str(tmp_path / name) for name in ("to-home", "to-runs", "to-run", "to-data", "chain", "to-run/new")),
        f"{tmp_path}/to-runs/../executor", f"{tmp_path}/to-b/../home/runs", str(outside), str(outside / "checkpoints"),
        str(root), str(root / "train"),
    ]  # fmt: skip


@pytest.fixture
def other(store: Store, config: dict[str, Any]) -> Path:
    folder = store.settings.run_dir(store.runs.submit(SubmitRequest(config=config)).id)
    (folder / "checkpoints/a001-s00000001").mkdir(parents=True)
    return folder


async def test_no_submit_names_a_folder_of_the_home_or_of_a_run(
    api: Api, store: Store, settings: Settings, config: dict[str, Any], other: Path, tmp_path: Path
) -> None:
    """Over REST with all folders allowed, so that nothing else refuses it, and by the store, which all others use."""
    settings.allowed_roots = ["/"]
    before, tried = store.runs.list().total, 0
    for path in wrong_folders(settings, other, Path(config["root"]), tmp_path):
        for field in FIELDS:
            sent = {**config, field: path}
            with pytest.raises(ConfigError) as refused:
                store.runs.submit(SubmitRequest(config=sent))
            assert [problem.field for problem in refused.value.problems] in ([field], [""]), path
            if not path.startswith(".") and not path.endswith(
                "to-runs/../executor"
            ):  # which the server keeps as another
                reply = await api("POST", "runs", {"config": sent})
                assert reply.status == 400, (path, reply.body)
                check = (await api("POST", "configs/check", {"config": sent})).json
                assert field in [problem["field"] for problem in check["problems"]] or path.startswith(config["root"])
            tried += 1
    sweep = {"base": {**config, "ckpt_dir": str(settings.runs_dir)}, "space": {"lr": {"values": [0.1, 0.2]}}}
    assert (await api("POST", "sweeps", sweep)).status == 400
    assert store.runs.list().total == before
    print(f"{tried} ways to name a folder of the home, of a run or of the data set were refused")


def test_a_free_folder_is_taken(settings: Settings, store: Store, config: dict[str, Any], tmp_path: Path) -> None:
    for field in FIELDS:
        for path in (tmp_path / "free", tmp_path / "new/deeper"):
            store.runs.submit(SubmitRequest(config={**config, field: str(path)}))


def test_an_odd_name_is_a_sentence_and_no_error_of_the_program(home: Path, tmp_path: Path) -> None:
    settings = Settings(home=str(home))
    settings.make_home()
    (tmp_path / "loop").symlink_to("loop")
    for path in (
        "a\0b",
        "\ud800",
        "x" * 300,
        "x/" * 3000,
        "~nobody-here/x",
        str(tmp_path / "loop"),
        "/root/x",
        "\n",
        "//",
    ):
        for field in FIELDS:
            found = output_folders.problems({field: path, "root": path}, settings)
            assert [problem.field for problem in found] in ([], [field]), path


def test_a_folder_that_may_not_be_looked_into_is_no_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Any, **_: Any) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refused)
        assert output_folders.problems({"ckpt_dir": "/closed/folder"}, Settings(home=str(home))) == []


def test_a_folder_is_known_under_another_name_of_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that knows no case, and of a mount: the folder is the same, its path is not."""
    settings = Settings(home=str(home))
    settings.make_home()
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: real(str(path).replace("/HOME", "/home"), **more))
    for path in ("HOME", "HOME/runs", "HOME/runs/new"):
        assert output_folders.problems({"ckpt_dir": str(tmp_path / path)}, settings), path


@pytest.mark.parametrize("field", FIELDS)
def test_python_and_the_command_line_obey_the_same(
    field: str, few: TrainConfig, idle: Settings, tmp_path: Path
) -> None:
    runs = idle.runs_dir
    idle.make_home()
    config = few.with_changes(**{field: str(runs)})
    calls: list[Callable[[], Any]] = [
        lambda: lab.launch(config),
        lambda: lab.train(config),
        lambda: lab.train(config, out=tmp_path / "out"),
        lambda: lab.sweep(config, {"lr": [0.1, 0.2]}),
    ]
    for call in calls:
        with pytest.raises(ConfigError) as refused:
            call()
        assert [problem.field for problem in refused.value.problems] == [field]
    assert not (tmp_path / "out").exists()
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    program = [sys.executable, "-c", "from imgcls_lab.cli import main; main()"]
    for arguments in (["launch"], ["train"], ["train", "--out", str(tmp_path / "out")]):
        done = subprocess.run(
            [*program, *arguments, "--config", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stderr
        assert field in done.stderr or str(runs) in done.stderr
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize("field", FIELDS)
def test_the_engine_refuses_what_a_planted_config_says(
    field: str, few: TrainConfig, home: Path, tmp_path: Path
) -> None:
    """Nobody submitted it: it came with a folder, or the home has moved since."""
    Settings().make_home()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(few.with_changes(**{field: str(home / "runs")}).model_dump_json())
    done = subprocess.run(
        [sys.executable, "-m", "imgcls_lab.engine", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert '"type":"failed"' in (folder / "events-001.jsonl").read_text()
    assert list((home / "runs").iterdir()) == []


# ── two runs, and what a deletion removes ───────────────────────────────────────────────────────────────────────
def test_two_runs_do_not_get_one_folder(tmp_path: Path) -> None:
    """Two folders of one name with one `ckpt_dir` were one folder of checkpoints, in which each deleted the other's."""
    one, two = tmp_path / "a/run", tmp_path / "b/run"
    place = run_layout.external_folder(str(tmp_path / "big"), one)
    assert place == run_layout.external_folder(str(tmp_path / "big"), two)
    for folder in (one, two):
        folder.mkdir(parents=True)
    output_folders.claim(place, one, linked=False)
    (one / "checkpoints").symlink_to(place)
    output_folders.claim(place, one, linked=True)  # its next attempt
    with pytest.raises(ConflictError) as refused:
        output_folders.claim(place, two, linked=False)
    assert refused.value.reason == "other_run"
    shutil.move(one, tmp_path / "a/moved")
    output_folders.claim(place, tmp_path / "a/moved", linked=True)
    assert output_folders.claimed(tmp_path / "a/moved", {}) == []


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    place, folder = tmp_path / "big/run", tmp_path / "run"
    place.mkdir(parents=True)
    (place / "thesis.tex").write_text("x")
    with pytest.raises(ConflictError) as refused:
        output_folders.claim(place, folder, linked=False)
    assert refused.value.reason == "not_empty"
    (tmp_path / "big/two").symlink_to(place)
    with pytest.raises(ConflictError) as refused:
        output_folders.claim(tmp_path / "big/two", folder, linked=False)
    assert refused.value.reason == "link"


def test_trainings_of_two_notebooks_have_folders_of_their_own() -> None:
    runs = [Path("/h/runs") / run_id / "trainings/01-1f2e3d4c" for run_id in
            ("20260101-000000-abcdef", "20260101-000000-abcdeg")]  # fmt: skip
    assert len({run_layout.external_folder("/big", training) for training in runs}) == 2


def test_a_deletion_removes_what_the_run_has_claimed_and_nothing_else(
    store: Store, config: dict[str, Any], tmp_path: Path
) -> None:
    big = tmp_path / "big"
    kept: list[Path] = []
    for claims, named in ((True, True), (False, True), (True, False), (None, True)):
        sent = {**config, **({"ckpt_dir": str(big)} if named else {})}
        run_id = store.runs.submit(SubmitRequest(config=sent)).id
        folder = store.settings.run_dir(run_id)
        place = run_layout.external_folder(str(big), folder)
        if claims is None:
            place.mkdir(parents=True)
            (place / output_folders.CLAIM).write_text("/somebody/else/runs/x")
        elif claims:
            output_folders.claim(place, folder, linked=False)
        place.mkdir(parents=True, exist_ok=True)
        (place / "a001-s00000001").mkdir()
        (folder / "checkpoints").symlink_to(place)
        store.runs.set_desired_state(run_id, DesiredState.STOP)
        store.runs.delete(run_id)
        assert not folder.exists()
        if not (claims and named):
            kept.append(place)
    assert sorted(big.iterdir()) == sorted(kept)


def test_the_folders_of_a_notebooks_trainings_go_with_its_run(store: Store, tmp_path: Path) -> None:
    run = store.settings.runs_dir / "20260101-000000-abcdef"
    training, big = run / "trainings/01-1f2e3d4c", tmp_path / "big"
    training.mkdir(parents=True)
    (training / "config.json").write_text(f'{{"ckpt_dir": "{big}"}}')
    place = run_layout.external_folder(str(big), training)
    output_folders.claim(place, training, linked=False)
    (place / "a001-s00000001").mkdir()
    output_folders.remove(output_folders.claimed(run, {}))
    assert list(big.iterdir()) == []


def test_a_real_run_writes_there_and_its_deletion_takes_it_all(own: Settings, few: TrainConfig, tmp_path: Path) -> None:
    big, boards = tmp_path / "big", tmp_path / "boards"
    config = few.with_changes(epochs=1, ckpt_dir=str(big), tb_root=str(boards))
    runs = [lab.launch(config), lab.launch(config)]  # at once, with the same folders
    for run in runs:
        run.wait(120)
        assert run.best_checkpoint.resolve().parent == big / run.id
        assert [checkpoint.size > 0 for checkpoint in run.view.checkpoints] == [True]
        assert any((boards / run.id).iterdir())
    runs[0].delete()
    assert [path.name for path in (*big.iterdir(), *boards.iterdir())] == [runs[1].id] * 2
    assert runs[1].refresh().best_checkpoint.is_dir()
    runs[1].delete()
    assert [*big.iterdir(), *boards.iterdir(), *own.runs_dir.iterdir()] == []
