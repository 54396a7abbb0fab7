"""Losses: what they are worth, that each learns, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.optim.losses import LOSSES, MixPartners, Target, make_loss
from imgcls_lab.errors import ConfigError

Make = Callable[..., TrainConfig]
LABELS = torch.tensor([0, 2, 1, 2])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_soft_targets_hold_both_images_of_a_mix() -> None:
    target = Target(torch.tensor([0, 1, 2]), MixPartners(torch.tensor([2, 1, 0]), torch.tensor([0.75, 0.5, 0.0])))
    assert target.soft(3).tolist() == [[0.75, 0, 0.25], [0, 1, 0], [1, 0, 0]]
    assert target.soft(3, 0.3).sum(1).tolist() == pytest.approx([1, 1, 1])
    assert target.soft(3, 0.3)[1].tolist() == pytest.approx([0.1, 0.8, 0.1])


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "bce"])
def test_the_loss_of_a_mix_is_that_of_its_images_one_by_one(make_config: Make, name: str, logits: torch.Tensor) -> None:
    partners = MixPartners(LABELS.flip(0), torch.tensor([0.3, 1.0, 0.0, 0.6]))
    loss = make_loss(make_config(loss=name, mixup=1.0, label_smoothing=0.1), 3)
    rows = [slice(number, number + 1) for number in range(4)]
    alone = [
        loss(logits[row], Target(LABELS[row], MixPartners(partners.labels[row], partners.weights[row]))).item()
        for row in rows
    ]
    assert loss(logits, Target(LABELS, partners)).item() == pytest.approx(sum(alone) / 4, rel=1e-5)


def test_cross_entropy_of_a_mix_is_that_of_its_soft_target(make_config: Make, logits: torch.Tensor) -> None:
    target = Target(LABELS, MixPartners(LABELS.flip(0), torch.tensor([0.3, 1.0, 0.0, 0.6])))
    value = make_loss(make_config(mixup=1.0, label_smoothing=0.1), 3)(logits, target)
    assert value.item() == pytest.approx(functional.cross_entropy(logits, target.soft(3, 0.1)).item(), rel=1e-5)


def test_class_weights_of_a_mix_count_by_the_shares(make_config: Make, logits: torch.Tensor) -> None:
    weights, shares, other = torch.tensor([1.0, 5.0, 2.0]), torch.tensor([0.3, 1.0, 0.0, 0.6]), LABELS.flip(0)
    loss = make_loss(make_config(mixup=1.0), 3, weights)
    logs, rows = logits.log_softmax(1), torch.arange(4)
    terms = -(shares * weights[LABELS] * logs[rows, LABELS] + (1 - shares) * weights[other] * logs[rows, other])
    weighed = (shares * weights[LABELS] + (1 - shares) * weights[other]).sum()
    value = loss(logits, Target(LABELS, MixPartners(other, shares)))
    assert value.item() == pytest.approx((terms.sum() / weighed).item(), rel=1e-5)
    unmixed = loss(logits, Target(LABELS, MixPartners(other, torch.ones(4))))
    assert unmixed.item() == pytest.approx(loss(logits, Target(LABELS)).item(), rel=1e-5)


def test_focal_loss_without_gamma_is_cross_entropy(make_config: Make, logits: torch.Tensor) -> None:
    target = Target(LABELS)
    plain = make_loss(make_config(), 3)(logits, target)
    focal = [make_loss(make_config(loss="focal", focal_gamma=gamma), 3)(logits, target) for gamma in (0, 2)]
    assert focal[0].item() == pytest.approx(plain.item(), rel=1e-5)
    chance = logits.softmax(1)[range(4), LABELS]
    assert focal[1].item() == pytest.approx((-((1 - chance) ** 2) * chance.log()).mean().item(), rel=1e-5)


def test_bce_looks_at_each_class_by_itself(make_config: Make, logits: torch.Tensor) -> None:
    value = make_loss(make_config(loss="bce"), 3)(logits, Target(LABELS))
    assert value.item() == pytest.approx(
        functional.binary_cross_entropy_with_logits(logits, functional.one_hot(LABELS, 3).float()).item(), rel=1e-5
    )


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_falls_when_it_is_followed(make_config: Make, name: str, logits: torch.Tensor) -> None:
    loss = make_loss(make_config(loss=name), 3)
    learnt = logits.clone().requires_grad_()
    first = loss(learnt, Target(LABELS))
    optimizer = torch.optim.SGD([learnt], lr=5.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss(learnt, Target(LABELS)).backward()
        optimizer.step()
    assert loss(learnt, Target(LABELS)).item() < 0.5 * first.item()
    assert learnt.argmax(1).tolist() == LABELS.tolist()


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "bce"])
def test_class_weights_and_smoothing_count(make_config: Make, name: str, logits: torch.Tensor) -> None:
    plain, target = make_config(loss=name), Target(LABELS)
    values = [
        make_loss(plain, 3)(logits, target).item(),
        make_loss(plain, 3, torch.tensor([1.0, 5.0, 2.0]))(logits, target).item(),
        make_loss(plain.with_changes(label_smoothing=0.2), 3)(logits, target).item(),
    ]
    assert len(set(values)) == 3


def test_what_a_loss_cannot_take_is_refused_before_training(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"“asl” .*mixup and cutmix to 0") as caught:
        make_loss(make_config(loss="asl", cutmix=1.0), 3)
    assert caught.value.problems[0].field == "mixup"
    with pytest.raises(ConfigError, match=r"“asl” .*balance to sampler"):
        make_loss(make_config(loss="asl"), 3, torch.ones(3))


def test_a_loss_that_gives_no_number_to_learn_from_is_refused(make_config: Make) -> None:
    mine = ["mine.py"]  # the config of such a loss names the file that registers it
    with LOSSES.scope():
        LOSSES.register("each")(lambda logits, target, terms: logits.sum(1))
        LOSSES.register("fixed")(lambda logits, target, terms: torch.ones(()))
        LOSSES.register("wrong")(lambda logits, target, terms: logits @ logits)
        for name, sentence in (("each", r"gives a tensor of shape \(2,\)"), ("fixed", "a number without a gradient")):
            with pytest.raises(ConfigError, match=sentence):
                make_loss(make_config(loss=name, plugins=mine), 3)
        with pytest.raises(ConfigError, match="“wrong” fails"):
            make_loss(make_config(loss="wrong", plugins=mine), 3)
