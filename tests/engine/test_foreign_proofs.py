"""What a run's folder from somebody else may do to a verification: nothing but be computed again, or be refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imgcls_lab import signing, working_folders
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.proofs.bisect import Named, _first_part, bisect
from imgcls_lab.engine.proofs.record import Record
from imgcls_lab.engine.proofs.reproduce import reproduce
from imgcls_lab.engine.proofs.rerun import prepare, workplace
from imgcls_lab.engine.proofs.verify import first_difference, verify
from imgcls_lab.engine.proofs.watch import Watched
from imgcls_lab.engine.training import attempt_context, plugins
from imgcls_lab.errors import ConfigError, ModelError
from imgcls_lab.events import Changed, Metrics
from imgcls_lab.forks import HistoryFile
from imgcls_lab.run_changes import MAX_RUN_CHANGES, changes_at_steps, parse, with_obeyed
from imgcls_lab.schemas import VerifyRequest
from imgcls_lab.settings import Settings

GOOD, EVIL = b"x = 1\n", b"raise SystemExit('executed')\n"


def record_of(name: str) -> list[dict[str, str]]:
    """A plugin that this home's user once named in a config, under the name that a manifest gives it."""
    sha256 = hashlib.sha256(GOOD).hexdigest()
    return [{"name": name, "sha256": sha256, signing.SIGNATURE: signing.sign_code(Settings().home_path, sha256)}]


@pytest.mark.parametrize("name", ["../evil/01-good.py", "evil/01-good.py", "/tmp/evil/01-good.py"])
def test_a_plugin_is_a_file_of_the_run_s_own_folder_of_plugins(name: str, tmp_path: Path) -> None:
    for folder, code in (("plugins", GOOD), ("evil", EVIL), ("plugins/evil", EVIL)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "01-good.py").write_bytes(code)
    with pytest.raises(ConfigError, match="not executed"):
        plugins.check(tmp_path, record_of(name))
    assert plugins.check(tmp_path, record_of("01-good.py")) == {tmp_path / "plugins/01-good.py": GOOD}


def test_steps_are_computed_again_with_the_plugins_that_were_checked(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "plugins").mkdir(parents=True)
    (run / "plugins/01-good.py").write_bytes(GOOD)
    config = make_config().model_dump(mode="json")
    (run / "config.json").write_text(json.dumps(config))
    content: dict[str, Any] = {"config": config, "plugins": record_of("01-good.py"), "threads": 1, "precision": "fp32"}
    assert prepare(run, tmp_path / "again", content, None).plugins == (str(run / "plugins/01-good.py"),)


@pytest.mark.parametrize("file", ["../../secret", "/dev/zero", "01/../../x", "01/.hidden", "x/events.jsonl", "01/"])
def test_the_past_of_a_fork_lies_in_its_own_folder(file: str) -> None:
    assert HistoryFile(file="01/events-001.jsonl", attempt=1, until=3).file == "01/events-001.jsonl"
    with pytest.raises(ValidationError):
        HistoryFile(file=file, attempt=1, until=3)


def test_the_lock_of_a_folder_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / attempt_context.LOCK).symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic"), workplace(tmp_path / "run"):
        pass
    assert not (tmp_path / "outside").exists()
    os.unlink(tmp_path / "run" / attempt_context.LOCK)
    with workplace(tmp_path / "run") as place:
        assert place.parent == tmp_path / "run"


def test_verifications_at_the_same_moment_keep_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes second must not take the folder of the first, which has not locked it yet, for a left one."""
    second: list[Path] = []

    def begin(folder: Path) -> AbstractContextManager[None]:
        if not second:
            second.append(folder)
            with workplace(tmp_path) as place:
                second.append(place)
                assert folder.is_dir()
        return held(folder)

    held = working_folders.held
    monkeypatch.setattr(working_folders, "held", begin)
    with workplace(tmp_path) as first:
        assert first == second[0] != second[1]
    assert not list(tmp_path.glob(".again-*"))


ASKS = "import fcntl, sys\nfile = open(sys.argv[1], 'rb')\nfcntl.lockf(file, fcntl.LOCK_SH)\nprint(flush=True)\ninput()"


def test_verifications_that_ask_at_the_same_moment_take_each_other_for_no_training(tmp_path: Path) -> None:
    (tmp_path / attempt_context.LOCK).touch()
    asks: list[str | Path] = [sys.executable, "-c", ASKS, tmp_path / attempt_context.LOCK]
    with subprocess.Popen(asks, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with workplace(tmp_path) as place:
            assert place.is_dir()
        other.communicate(b"\n", timeout=60)


def test_a_folder_that_a_killed_verification_left_is_removed_and_one_that_lives_is_not(tmp_path: Path) -> None:
    with working_folders.held(made(tmp_path / ".again-lives")), workplace(tmp_path):
        assert (tmp_path / ".again-lives").is_dir()
    killed, old = made(tmp_path / ".again-killed"), time.time() - 3600
    (killed / working_folders.HELD).touch()
    os.utime(killed, (old, old))
    os.utime(tmp_path / ".again-lives", (old, old))
    with working_folders.held(tmp_path / ".again-lives"), workplace(tmp_path):
        assert not killed.exists()
        assert (tmp_path / ".again-lives").is_dir()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def changed(number: int, field: str) -> Changed:
    return Changed(number=number, step=3, field=field, old=1, new=2, epoch=0.5, epochs=3, total_steps=30)


def test_changes_of_other_fields_and_without_end_are_none() -> None:
    assert [each["number"] for each in with_obeyed([], changed(1, "lr"))] == [1]
    for foreign in (changed(1, "batch_size"), changed(1, "no_field"), changed(MAX_RUN_CHANGES + 1, "lr")):
        assert with_obeyed([{"number": 7}], foreign) == [{"number": 7}]
    assert changes_at_steps([changed(1, "batch_size"), changed(2, "lr")])[0].number == 2
    text = json.dumps([{"number": 1, "field": "no_field", "value": 3}, {"number": 2, "field": "epochs", "value": 3}])
    assert [each.field for each in parse(text)] == ["epochs"]


def test_the_same_overflow_is_no_difference() -> None:
    one, other = Record(), Record()
    for record in (one, other):
        record.add(Metrics(step=5, epoch=0.5, values={"grad_norm": float("nan"), "loss/train": 1.0}))
    assert first_difference(one, other, [5]) is None
    other.add(Metrics(step=5, epoch=0.5, values={"grad_norm": 2.0, "loss/train": 1.0}))
    assert first_difference(one, other, [5]) == 5


def test_batches_of_different_size_are_the_cause(tmp_path: Path) -> None:
    runs = Named(tmp_path, "one"), Named(tmp_path, "other")
    one = Watched(step=1, images=["a", "b"], labels=["x", "y"], outputs=[("conv", "1")])
    other = Watched(step=1, images=["a", "b", "c", "d"], labels=["x", "y", "x", "y"], outputs=[("conv", "2")])
    found = _first_part(one, other, runs)
    assert (found.part, found.sentence) == ("batch", "the step trains on 2 images in “one” and 4 in “other”")


def damaged(whole: str) -> dict[str, str]:
    """Manifests as a full disk, an editor or somebody else leaves them."""
    content = json.loads(whole)
    parts: dict[str, Any] = {
        "config": ["lr"], "hardware": "a machine", "python": "3.11", "packages": ["torch"], "data": [], "threads": "4",
        "precision": 16, "plugins": [{"name": "01-x.py"}], "code": [], "git": {"commit": 1}, "device": 0, "version": 3,
    }  # fmt: skip
    found = {f"{name} of another form": json.dumps({**content, name: value}) for name, value in parts.items()}
    found |= {f"no {name}": json.dumps({**content, name: None}) for name in ("config", "packages", "data", "python")}
    unusable = {**content, "config": {**content["config"], "lr": "fast"}}
    return found | {
        "cut": whole[: len(whole) // 2], "empty": "", "a list": "[]", "a number": "1", "deep": "[" * 100_000,
        "unusable": json.dumps(unusable),
    }  # fmt: skip


def test_a_damaged_manifest_is_named_with_what_to_do(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    train(make_config(epochs=1), tmp_path / "run")
    file, run = tmp_path / "run/manifest.json", Named(tmp_path / "run", "run")
    whole = file.read_text()
    for name, text in damaged(whole).items():
        file.write_text(text)
        for prove in (
            lambda: verify(tmp_path / "run"),
            lambda: bisect(run, run),
            lambda: reproduce(tmp_path / "run", tmp_path / "env", VerifyRequest.model_validate({})),
        ):
            with pytest.raises(ModelError) as refused:
                prove()
            assert refused.value.reason == "damaged", name
            assert str(file) in str(refused.value), name
        assert RunFolder(tmp_path / "run").run() is not None, name
    assert not (tmp_path / "env").exists()
    file.write_text(json.dumps({**json.loads(whole), "data_revision": ["x"]}))
    assert RunFolder(tmp_path / "run").run().data_revision is None


def test_what_else_is_damaged_is_named_too(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    train(make_config(epochs=2, save_every_epochs=1), tmp_path / "run")
    (tmp_path / "run/checkpoints/a-backup-s1.old").mkdir()  # somebody's copy is no checkpoint
    ((tmp_path / "run/checkpoints/epoch-0001").resolve() / "checksums.json").unlink()
    with pytest.raises(ModelError, match=r"checksums\.json") as refused:
        verify(tmp_path / "run", VerifyRequest(at="1"))
    assert refused.value.reason == "damaged"
    (tmp_path / "run/config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json"):
        verify(tmp_path / "run")
    assert not list((tmp_path / "run").glob(".again-*"))
