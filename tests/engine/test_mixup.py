"""MixUp and CutMix draw for each image by itself, do what a slow loop does, and keep images and targets in step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.optim.mixup import mix, partners, symmetric_beta

Make = Callable[..., TrainConfig]
COUNT, HEIGHT, WIDTH = 64, 24, 16
IMAGES = np.arange(1000, 1000 + COUNT)
LABELS = torch.arange(COUNT)
WAYS = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]


@pytest.fixture
def values() -> torch.Tensor:
    noise = torch.randn(COUNT, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last)


def mixed(config: TrainConfig, values: torch.Tensor, epoch: int = 0) -> tuple[torch.Tensor, Target]:
    result = values.clone()
    return result, mix(result, LABELS, config, epoch, IMAGES)


def of_partners(target: Target) -> tuple[torch.Tensor, torch.Tensor]:
    assert target.partners is not None
    return target.partners.labels, target.partners.weights


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_batch_at_once_is_a_loop_over_its_images(
    make_config: Make, values: torch.Tensor, way: dict[str, float], layout: torch.memory_format
) -> None:
    result, target = mixed(make_config(**way), values.contiguous(memory_format=layout))
    others, shares = of_partners(target)
    boxes = blends = 0
    for number, (other, share) in enumerate(zip(others.tolist(), shares.tolist(), strict=True)):
        own, theirs, found = values[number], values[other], result[number]
        swapped = ((found == theirs) & (found != own)).all(0)
        if (swapped | (found == own).all(0)).all():  # CutMix: one box of the partner's, the rest the image's own
            rows, columns = swapped.any(1), swapped.any(0)
            assert torch.equal(swapped, rows[:, None] & columns[None, :])
            for line in (rows, columns):
                places = line.nonzero()
                assert len(places) == 0 or int(places.max() - places.min()) + 1 == len(places)
            assert share == pytest.approx(1 - float(swapped.float().mean()), abs=1e-6)
            boxes += 1
        else:
            assert torch.allclose(found, share * own + (1 - share) * theirs, atol=1e-5)
            blends += 1
    assert (blends > 0, boxes > 0) == ("mixup" in way, "cutmix" in way)
    assert result.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_image_has_a_share_and_a_partner_of_its_own(
    make_config: Make, values: torch.Tensor, way: dict[str, float]
) -> None:
    _, target = mixed(make_config(**way), values)
    others, shares = of_partners(target)
    assert len(set(shares.tolist())) > COUNT / 2
    assert sorted(others.tolist()) == list(range(COUNT))
    assert not (others == LABELS).any()
    assert len({(int(other) - place) % COUNT for place, other in enumerate(others)}) > 10  # not one shift for all


def test_boxes_lie_elsewhere_in_each_image(make_config: Make, values: torch.Tensor) -> None:
    result, _ = mixed(make_config(cutmix=1.0), values)
    changed = (result != values).any(1)
    assert len({area.numpy().tobytes() for area in changed}) > COUNT / 2


def test_draws_are_those_of_seed_epoch_and_image_alone(make_config: Make, values: torch.Tensor) -> None:
    config = make_config(mixup=0.4)
    _, shares = of_partners(mixed(config, values)[1])
    chosen = np.array([40, 7, 19])
    part = mix(values[:3].clone(), LABELS[:3], config, 0, IMAGES[chosen])
    assert torch.equal(of_partners(part)[1], shares[torch.from_numpy(chosen)])
    for other in (mixed(config, values, epoch=1), mixed(config.with_changes(seed=1), values)):
        assert not torch.equal(of_partners(other[1])[1], shares)


def test_soft_targets_sum_to_one_and_name_both_images(make_config: Make, values: torch.Tensor) -> None:
    _, target = mixed(make_config(mixup=0.4, cutmix=1.0), values)
    others, shares = of_partners(target)
    soft = target.soft(COUNT)
    assert torch.allclose(soft.sum(1), torch.ones(COUNT))
    assert torch.allclose(soft[LABELS, LABELS], shares)
    assert torch.allclose(soft[LABELS, others], 1 - shares, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha: float) -> None:
    random = np.random.default_rng(0)
    ours = symmetric_beta(np.full(200_000, alpha), random.random(200_000), random.random(200_000))
    theirs = random.beta(alpha, alpha, 200_000)
    for level in np.linspace(0.05, 0.95, 19):
        assert (ours < level).mean() == pytest.approx((theirs < level).mean(), abs=0.006)
    assert (ours.min() >= 0, ours.max() <= 1) == (True, True)


def test_the_ends_of_the_draws_give_shares_too() -> None:
    ends = np.array([0.0, 0.25, 0.5, 1 - 2.0**-24])
    radius, angle, alpha = (axis.ravel() for axis in np.meshgrid(ends, ends, [1e-3, 0.2, 10.0]))
    shares = symmetric_beta(alpha, radius, angle)
    assert ((shares >= 0) & (shares <= 1)).all()


def test_an_image_alone_is_its_own_partner(make_config: Make, values: torch.Tensor) -> None:
    assert partners(np.array([0.3])).tolist() == [0]
    alone = values[:1].clone()
    mix(alone, LABELS[:1], make_config(mixup=1.0, cutmix=1.0), 0, IMAGES[:1])
    assert torch.allclose(alone, values[:1], atol=1e-6)
