"""`verify` computes steps again: the same to the bit on an untouched run, and the cause named for each planted one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.proofs.verify import verify
from imgcls_lab.errors import ConflictError, JobCancelledError, ModelError, NotFoundError
from imgcls_lab.schemas import VerifyRequest

from .conftest import of_type
from .forking import fork_from
from .planted_causes import Planted
from .test_resume import stop_after
from .test_run_changes import asking

Make = Callable[..., TrainConfig]
pytestmark = pytest.mark.timeout(600)  # each starts a process or two, with all imports
HOLD = """
import sys, time
from pathlib import Path
from imgcls_lab.engine.training.attempt_context import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_an_untouched_run_is_bit_identical_also_after_a_resume(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=3, ema_decay=0.9, mixup=0.3)
    stop, on_event = stop_after(5)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    train(config, tmp_path / "run")
    hashed = [event.step for attempt in (1, 2) for event in of_type(tmp_path / "run", "weights", attempt)]
    assert hashed == [0, 1, 2, 5, 10, 20]
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    found = verify(tmp_path / "run")
    assert (found.identical, found.last_step, found.hashes, found.differences) == (True, 20, 5, [])
    said = json.loads((tmp_path / "run/certificate.json").read_text())
    assert (said["identical"], said["first_step"], said["sentence"]) == (True, None, found.sentence)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted([*before, "certificate.json"])


def test_it_can_begin_with_a_checkpoint(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=4, save_every_epochs=1, mixup=0.3), tmp_path / "run")
    found = verify(tmp_path / "run", VerifyRequest(at="2", steps=10))
    assert (found.identical, found.from_step, found.last_step) == (True, 16, 26)
    assert found.checkpoint == "a001-s00000016"
    with pytest.raises(NotFoundError, match="step 8"):
        verify(tmp_path / "run", VerifyRequest(at="7"))


def test_a_fork_is_verified_from_its_parent_s_checkpoint(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    train(config, tmp_path / "parent")
    fork_from(tmp_path / "parent", tmp_path / "fork", "epoch-0001", config, config)
    train(config, tmp_path / "fork")
    found = verify(tmp_path / "fork", VerifyRequest(steps=3))
    assert (found.identical, found.from_step, found.last_step) == (True, 8, 11)


@pytest.mark.parametrize("plant", ["image", "threads", "code"])
def test_the_cause_of_a_difference_is_named(
    make_config: Make, digits: Path, tiny_vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: str
) -> None:
    planted = Planted(tmp_path, digits, monkeypatch)
    train(planted.config(make_config, plant, tiny_vit), planted.run)
    planted.plant(plant)
    found = verify(planted.run)
    assert not found.identical, found.sentence
    assert found.first_step in range(1, 9)
    assert planted.is_named(plant, found), found.sentence
    assert found.remedy


def test_what_differs_is_said_also_where_the_bits_agree(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=1), tmp_path / "run")
    file = tmp_path / "run/manifest.json"
    content = json.loads(file.read_text())
    content["packages"] |= {"pillow": "1.0", "pip": "1.0"}
    file.write_text(json.dumps(content))
    found = verify(tmp_path / "run")
    assert found.identical
    assert "though pillow is" in found.sentence
    assert "was 1.0" in found.sentence
    assert len(found.differences) == 1  # what installed the packages decides nothing


def test_a_missing_data_set_and_a_cancel_are_said(make_config: Make, digits: Path, tmp_path: Path) -> None:
    train(make_config(epochs=1, root=str(digits)), tmp_path / "run")
    with pytest.raises(JobCancelledError):
        verify(tmp_path / "run", stopped=lambda: True)
    shutil.rmtree(digits)
    with pytest.raises(ModelError, match="cannot be computed again") as refused:
        verify(tmp_path / "run")
    assert refused.value.reason == "failed"
    assert not list((tmp_path / "run").glob(".again-*"))


def test_a_run_that_trains_or_has_kept_nothing_is_refused(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConflictError) as refused:
        verify(tmp_path / "run")
    assert refused.value.reason == "no_steps"
    train(make_config(epochs=1), tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        with pytest.raises(ConflictError) as refused:
            verify(tmp_path / "run")
        assert refused.value.reason == "running"
        holder.kill()
    events = tmp_path / "run/events-001.jsonl"
    lines = [line for line in events.read_text().splitlines(keepends=True) if '"weights"' not in line]
    events.write_text("".join(lines))
    with pytest.raises(ConflictError) as refused:
        verify(tmp_path / "run")
    assert refused.value.reason == "no_hashes"


def test_changes_while_it_trained_are_made_again(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    asks = asking(folder, {3: [("lr", 0.02)], 10: [("lr", 0.001), ("epochs", 4)]})
    train(make_config(epochs=3, save_every_epochs=1, mixup=0.3), folder, on_event=asks)
    assert verify(folder).identical
    assert verify(folder, VerifyRequest(at="1", steps=8)).identical
