"""`bisect` of equal runs, and of runs of other weights. Where two runs part: tests/acceptance/test_proofs.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.proofs.bisect import Named, bisect

Make = Callable[..., TrainConfig]


def test_equal_runs_and_runs_of_other_weights_are_said(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=1)
    for name in ("one", "same"):
        train(config, tmp_path / name)
    found = bisect(Named(tmp_path / "one", "one"), Named(tmp_path / "same", "same"))
    assert (found.first_step, found.replays, found.differences) == (None, 0, [])
    train(config.with_changes(seed=1), tmp_path / "seeded")
    found = bisect(Named(tmp_path / "one", "one"), Named(tmp_path / "seeded", "seeded"))
    assert (found.first_step, found.part) == (0, "start")
    assert "seed is 0 in “one” and 1 in “seeded”" in found.sentence
