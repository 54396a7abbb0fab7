"""Proofs of runs: `verify` names each of six planted causes, and `bisect` finds where two runs part."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import rng, train
from imgcls_lab.engine.proofs.bisect import Named, bisect
from imgcls_lab.engine.proofs.verify import verify
from imgcls_lab.errors import ConflictError
from tests.engine.conftest import of_type
from tests.engine.planted_causes import CAUSES, Planted

Make = Callable[..., TrainConfig]
BATCH = 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_of_six_planted_causes_is_named(
    make_config: Make,
    digits_source: Path,
    tiny_vit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = []
    for cause in CAUSES:
        with monkeypatch.context() as patch:
            place = tmp_path / cause
            data = Path(shutil.copytree(digits_source, place / "digits"))
            planted = Planted(place, data, patch)
            train(planted.config(make_config, cause, tiny_vit), planted.run)
            assert verify(planted.run).identical
            planted.plant(cause)
            found = verify(planted.run)
            print(f"\n{cause}: {found.sentence}")
            assert not found.identical
            named += [cause] * planted.is_named(cause, found)
    print(f"\ncauses named: {len(named)} of {len(CAUSES)} (target: all)")
    assert named == [*CAUSES]


def many_images(root: Path, steps: int) -> list[str]:
    """A data set of an epoch of so many steps; returns the training images in their order."""
    random = np.random.default_rng(0)
    names = []
    for number in range(steps * BATCH):
        names.append(f"train/{'ab'[number % 2]}/{number:04d}.png")
        path = root / names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    for label in "ab":
        (root / "val" / label).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(root / "val" / label / "0.png")
    return sorted(names)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_planted_difference_is_found_at_its_step(
    make_config: Make,
    tiny_vit: Path,
    tmp_path: Path,
) -> None:
    step, steps = 137, 300
    names = many_images(tmp_path / "one-images", steps)
    given = {"model_flavour": str(tiny_vit), "load_pretrained": True, "batch_size": BATCH, "epochs": 1, "lr": 1e-4}
    one = make_config(root=str(tmp_path / "one-images"), **given)
    train(one, tmp_path / "one")
    shutil.copytree(tmp_path / "one-images", tmp_path / "other-images")
    order = rng.epoch_order(one.seed, 0, len(names), None)
    changed = names[order[(step - 1) * BATCH]]
    Image.new("RGB", (16, 16), (9, 9, 9)).save(tmp_path / "other-images" / changed)
    train(one.with_changes(root=str(tmp_path / "other-images")), tmp_path / "other")
    assert of_type(tmp_path / "one", "metrics")[-1].step == steps
    found = bisect(Named(tmp_path / "one", "one"), Named(tmp_path / "other", "other"))
    print(
        f"\nfound at step {found.first_step} (target: {step}) in {found.replays} partial replays (target: at most 10)"
    )
    assert (found.first_step, found.part, found.name) == (step, "image", changed), found.sentence
    assert found.replays <= 10
    assert changed in found.sentence
    assert any(each.kind == "data" and changed in each.text for each in found.differences)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_another_learning_rate_is_named_and_a_run_that_cannot_be_computed_again_is_refused(
    make_config: Make,
    digits: Path,
    tmp_path: Path,
) -> None:
    config = make_config(root=str(digits), epochs=1)
    train(config, tmp_path / "one")
    train(config.with_changes(lr=2 * config.lr), tmp_path / "other")
    names = Named(tmp_path / "one", "one"), Named(tmp_path / "other", "other")
    found = bisect(*names)
    assert (found.first_step, found.part) == (1, "rate"), found.sentence
    images = sorted(path.relative_to(digits) for path in (digits / "train").rglob("*.png"))
    in_step_1 = digits / images[rng.epoch_order(config.seed, 0, len(images), None)[0]]
    Image.new("RGB", (16, 16), (9, 9, 9)).save(in_step_1)
    with pytest.raises(ConflictError) as refused:
        bisect(*names)
    assert refused.value.reason == "not_reproducible"
    assert in_step_1.name in str(refused.value)
